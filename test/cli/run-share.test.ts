/** What the doctor says about a run on a server: comfortable, squeezed, or not at all. */
import { expect, test } from 'vitest'
import { connectionsCheck, type RunBudget, runBudget } from '../../src/cli/doctor/run-share.ts'
import type { Need, ServerConnections } from '../../src/pools/budget.ts'

/** 300 − 3 − 30 = 267 usable: (267 − 1) / 4 = 66 for each of four workers. */
const SERVER: ServerConnections = { maxConnections: 300, reserved: 3, foreign: 0 }
const on = (poolMax: Need['poolMax'], server = SERVER, leased = true): RunBudget =>
  runBudget(server, { slots: 4, poolMax, leased })

test.each<[max: Need['poolMax'], fits: RunBudget['fits'], status: string, connections: number | undefined]>([
  [10, 'comfortably', 'ok', 101],
  // 2 × 30 + 4 and one for moments: 65.
  [30, 'comfortably', 'ok', 261],
  [31, 'squeezed', 'warning', 261],
  [65, 'squeezed', 'warning', 265],
  [66, 'not', 'error', undefined],
  ['auto', 'comfortably', 'ok', 101],
])('pool.max %s: %s', (max, fits, status, connections) => {
  const budget = on(max)
  expect(budget).toMatchObject({ fits, usable: 267, headroom: 30 })
  expect(budget.share?.connections).toBe(connections)
  const check = connectionsCheck(budget)
  expect(check.status).toBe(status)
  expect(check.message).toContain('max_connections 300 − 3 reserved − 0 of others − 30 headroom = 267 usable')
  if (status === 'ok') expect(check.fixes).toEqual([])
  else {
    expect(check.fixes).toEqual([
      'Set `pool: { max: 30 }`.',
      `Set max_connections = ${budget.fittingMaxConnections} on the server (needs a restart).`,
      'Or start fewer workers (maxWorkers of the runner).',
    ])
    const { fittingMaxConnections: enough } = budget
    expect(on(max, { ...SERVER, maxConnections: enough }).fits).toBe('comfortably')
    expect(on(max, { ...SERVER, maxConnections: enough - 1 }).fits).not.toBe('comfortably')
  }
})

test('sessions of others are taken from what there is', () => {
  expect(on(30, { ...SERVER, foreign: 7 }).fits).toBe('squeezed')
  expect(connectionsCheck(on(30, { ...SERVER, foreign: 7 })).message).toContain(
    '− 7 of others − 30 headroom = 260 usable',
  )
})

test('a pool that fits itself to the server is told no other number', () => {
  const check = connectionsCheck(on('auto', { ...SERVER, maxConnections: 50 }))
  expect(check).toMatchObject({
    status: 'warning',
    message: expect.stringMatching(/fits with smaller pools: pool.max 2 and 37 /),
  })
  expect(check.fixes[0]).toMatch(/^Set max_connections = \d+ /)
})

test('one shared database has no lease and no limit', () => {
  expect(on(66, SERVER, false)).toMatchObject({ fits: 'comfortably', share: { connections: 265 } })
  expect(on(67, SERVER, false)).toMatchObject({ fits: 'not' })
})
