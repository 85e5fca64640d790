import { expect, test } from 'vitest'
import { describePostmortem } from '../../src/report/postmortem.ts'

const failed = { test: 'pays', file: '/a.test.ts', database: 'testdb_shop_1', kept: undefined }

test('says that nothing was changed only where somebody looked', () => {
  expect(describePostmortem({ ...failed, changes: [] }, undefined)).toEqual([
    '"pays" failed; what it had changed in testdb_shop_1:',
    '  nothing',
  ])
  expect(describePostmortem({ ...failed, changes: undefined, kept: 'postgresql://x' }, undefined)).toEqual([
    '"pays" failed in testdb_shop_1',
    '  kept as postgresql://x',
  ])
})

test('tells rows, and where the rest of them is', () => {
  const rows = { added: [{ id: 3, state: 'open' }], removed: [], changed: [] }
  const changes = [{ table: 'public.orders', added: 1, removed: 0, changed: 0, rows }]
  expect(describePostmortem({ ...failed, changes }, 'a.json')).toEqual([
    '"pays" failed; what it had changed in testdb_shop_1:',
    '  public.orders: 1 added, 0 removed, 0 changed',
    '    + {"id":3,"state":"open"}',
    '  as JSON: a.json',
  ])
})
