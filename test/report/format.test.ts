import { expect, test } from 'vitest'
import { formatDuration, oneLine, plural } from '../../src/report/format.ts'

test.each([
  [0, '0.0 s'],
  [-5, '0.0 s'],
  [449, '0.4 s'],
  [12_340, '12.3 s'],
  [59_960, '1 min 00 s'],
  [65_000, '1 min 05 s'],
  [3_599_400, '59 min 59 s'],
])('%i ms is %s', (ms, text) => {
  expect(formatDuration(ms)).toBe(text)
})

test('texts of others become one line', () => {
  expect(oneLine(' a\t\nb\u2028c\u001B]8;;http://x\u0007 link ')).toBe('a b c link')
})

test('one and many', () => {
  expect([plural(1, 'migration'), plural(0, 'migration')]).toEqual(['1 migration', '0 migrations'])
})
