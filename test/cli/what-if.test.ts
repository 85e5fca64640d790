/** The arithmetic of `testdb doctor --budget`: what it recommends fits, and one less does not. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { UNCONFIGURED, type WhatIf, type WhatIfQuestion, whatIf } from '../../src/cli/doctor/what-if.ts'
import { loadCheck, lockPoolCheck, serverCheck } from '../../src/cli/doctor/what-if-checks.ts'
import { usableOf } from '../../src/pools/budget.ts'

const ask = (question: Omit<WhatIfQuestion, 'server'>, maxConnections = 100): WhatIf =>
  whatIf({ ...question, server: { ...UNCONFIGURED, maxConnections } })

test('50 users, 9 background and 4 maintenance with one pool of 10: 53 are missing', () => {
  const { load } = ask({ users: 50, background: 9, maintenance: 4, pool: 10 })
  expect(load).toMatchObject({ needed: 63, given: 10, missing: 53, percent: 530, fittingPool: 63 })
})

test('three pods with a pool of 20 and a lock pool of 10: 90 of 87', () => {
  const { load, server } = ask({ pods: 3, pool: 20, lockPool: 10 })
  expect(load).toBeNull()
  expect(server).toMatchObject({ headroom: 10, usable: 87, opened: 90, missing: 3, percent: 3.4 })
  expect(server).toMatchObject({ fittingPool: 19, fittingMaxConnections: 104 })
})

test.each<[what: string, question: Omit<WhatIfQuestion, 'server'>, load: number | null, server: number]>([
  ['a load that fits exactly', { users: 63, pool: 63 }, 0, 0],
  ['one more', { users: 64, pool: 63 }, 1, 0],
  ['the default pool of 10', { users: 11 }, 1, 0],
  ['no users, only background work', { background: 12 }, 2, 0],
  ['the load is that of all pods together', { users: 60, pods: 3, pool: 20 }, 0, 0],
  ['a pod for each and no locks', { pods: 9, pool: 10 }, null, 3],
  ['a lock pool of 0 costs nothing', { pods: 3, pool: 29, lockPool: 0 }, null, 0],
  ['a lock pool counts', { pods: 3, pool: 29, lockPool: 1 }, null, 3],
])('%s', (_, question, load, server) => {
  const answer = ask(question)
  expect([answer.load?.missing ?? null, answer.server.missing]).toEqual([load, server])
})

test('the smallest numbers, the largest numbers, and a server that has nothing to give', () => {
  expect(ask({ pool: 1 }, 1).server).toMatchObject({ usable: 0, missing: 1, percent: 100, fittingMaxConnections: 5 })
  const huge = ask({ users: 100_000, pods: 100_000, pool: 100_000, lockPool: 100_000 })
  expect(huge.server).toMatchObject({ opened: 2e10, fittingPool: null, fittingMaxConnections: null })
  expect(serverCheck(huge).fixes).toEqual(['Put a pooler such as PgBouncer between the pods and the server.'])
})

test('no pool that deadlocks is recommended', () => {
  expect(ask({ pods: 50, pool: 10 }).server.fittingPool).toBeNull()
  expect(serverCheck(ask({ pods: 50, pool: 10 })).fixes[0]).toBe('Run 8 pods.')
  expect(ask({ users: 1, pods: 3, pool: 1 }).load).toMatchObject({ missing: 0, fittingPool: 2 })
})

test('a pool that the load needs and the server can not give is said with the max_connections that it takes', () => {
  const answer = ask({ users: 63, pods: 3, pool: 20, lockPool: 10 })
  expect(loadCheck({ ...answer, load: answer.load! }, true).fixes).toEqual([
    'Set `pool: { max: 21 }` in each pod, which needs max_connections = 107.',
  ])
  expect(serverCheck(answer).fixes).toEqual(['Set max_connections = 107 on the server (needs a restart).'])
})

test('locks from the pool that the work uses are a warning, a lock pool of 1 is none', () => {
  expect(lockPoolCheck(ask({ pool: 10, lockPool: 0 }))).toMatchObject({ status: 'warning', id: 'lock-pool' })
  expect(lockPoolCheck(ask({ pool: 10, lockPool: 1 }))).toBeUndefined()
  expect(lockPoolCheck(ask({ pool: 10 }))).toBeUndefined()
})

test('what is recommended fits, and one less or one more does not', () => {
  const number = (min: number, max: number) => fc.integer({ min, max })
  fc.assert(
    fc.property(
      fc.record({ users: number(1, 500), pods: number(1, 20), pool: number(1, 50), lockPool: number(0, 20) }),
      number(1, 1000),
      ({ users, ...pools }, maxConnections) => {
        const { load } = ask({ users, ...pools }, maxConnections)
        expect(ask({ users, ...pools, pool: load!.fittingPool }).load?.missing).toBe(0)
        if (load!.fittingPool > 2) {
          expect(ask({ users, ...pools, pool: load!.fittingPool - 1 }).load?.missing).toBeGreaterThan(0)
        }
        const { server } = ask(pools, maxConnections)
        if (server.fittingPool !== null) {
          expect(ask({ ...pools, pool: server.fittingPool }, maxConnections).server.missing).toBe(0)
          expect(ask({ ...pools, pool: server.fittingPool + 1 }, maxConnections).server.missing).toBeGreaterThan(0)
        }
        const fitting = server.fittingMaxConnections!
        expect(ask(pools, fitting).server.missing).toBe(0)
        expect(ask(pools, fitting - 1).server.missing).toBeGreaterThan(0)
        expect(server.usable).toBe(usableOf({ maxConnections, reserved: 3, foreign: 0 }))
      },
    ),
  )
})
