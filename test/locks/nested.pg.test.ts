import { afterAll, beforeAll, expect, test } from 'vitest'
import type { AdvisoryLocks } from '../../src/locks/index.ts'
import { errorOf, eventually, within } from '../helpers/wait.ts'
import { gate, pass } from './gate.ts'
import { LockLab, outside } from './lab.ts'

let lab: LockLab
beforeAll(async () => {
  lab = await LockLab.open()
})
afterAll(() => lab.close())

/** True when another service could take the key now. */
async function isFree(other: AdvisoryLocks, key: string): Promise<boolean> {
  const lock = await outside(() => other.tryAcquire(key))
  await lock?.release()
  return lock !== undefined
}

test('a nested lock uses the outer connection and is free when it ends, before the outer one', async () => {
  const [locks, other] = [lab.locks({ max: 1 }), lab.locks()]
  await locks.withXactLock({
    key: 'outer',
    fn: async () => {
      const value = await locks.withXactLock({
        key: 'inner',
        fn: () =>
          locks.withXactLock({ key: 'innermost', fn: async () => [await isFree(other, 'inner'), await lab.held()] }),
      })
      expect(value).toEqual([false, 3])
      expect([await isFree(other, 'inner'), await isFree(other, 'outer')]).toEqual([true, false])
    },
  })
  expect(locks.stats()).toMatchObject({ inUse: 0, idle: 1 })
})

test('an error in a nested section frees only its lock', async () => {
  const [locks, other] = [lab.locks(), lab.locks()]
  const mine = new Error('mine')
  await locks.withXactLock({
    key: 'outer',
    fn: async () => {
      expect(await errorOf(locks.withXactLock({ key: 'inner', fn: () => Promise.reject(mine) }))).toBe(mine)
      expect([await isFree(other, 'inner'), await isFree(other, 'outer')]).toEqual([true, false])
    },
  })
})

test('the same key inside its own section is not waited for, and is held until the outer one ends', async () => {
  const [locks, other] = [lab.locks(), lab.locks()]
  await locks.withXactLock({
    key: 'k',
    fn: async () => {
      await locks.withXactLock({ key: 'x', fn: () => locks.withXactLock({ key: 'k', fn: () => 1 }) })
      expect(await isFree(other, 'k')).toBe(false)
    },
  })
  expect(await isFree(other, 'k')).toBe(true)
})

test('nested sections at once: the lower savepoint waits with its end for the one above', async () => {
  const [locks, other] = [lab.locks(), lab.locks()]
  await locks.withXactLock({
    key: 'outer',
    fn: async () => {
      const [first, second] = [gate(), gate()]
      const [firstIn, secondIn] = [gate(), gate()]
      const lower = locks.withXactLock({ key: 'lower', fn: pass(firstIn, first) })
      await firstIn.promise
      const upper = locks.withXactLock({ key: 'upper', fn: pass(secondIn, second) })
      await secondIn.promise
      first.open()
      await lower
      expect(await isFree(other, 'upper')).toBe(false)
      second.open()
      await upper
      expect([await isFree(other, 'lower'), await isFree(other, 'upper')]).toEqual([true, true])
    },
  })
})

test.each([
  ['of another key', 'outer', 'k'],
  ['of the same key', 'k', 'k'],
])('nested sections of one key at once exclude each other inside a section %s', async (_, outer, key) => {
  const locks = lab.locks()
  let inside = 0
  let most = 0
  const section = async (): Promise<void> => {
    most = Math.max(most, ++inside)
    // Somebody else may begin here.
    await locks.withXactLock({ key: 'deeper', fn: () => lab.held() })
    await locks.withXactLock({ key, fn: () => 'its own key' })
    inside--
  }
  await locks.withXactLock({
    key: outer,
    fn: () => Promise.all(Array.from({ length: 5 }, () => locks.withXactLock({ key, fn: section }))),
  })
  expect([inside, most]).toEqual([0, 1])
})

test('what was begun and not awaited is waited for before the outer lock is free', async () => {
  const [locks, other] = [lab.locks(), lab.locks()]
  const [begun, until] = [gate(), gate()]
  let late: Promise<unknown> | undefined
  let ended = false
  const outer = locks.withXactLock({
    key: 'outer',
    fn: async () => {
      late = locks.withXactLock({ key: 'inner', fn: pass(begun, until) })
      await begun.promise
    },
  })
  void outer.then(() => {
    ended = true
  })
  await begun.promise
  expect([await isFree(other, 'outer'), ended]).toEqual([false, false])
  until.open()
  await Promise.all([outer, late])
})

test('what begins after its section has ended has a connection of its own', async () => {
  const locks = lab.locks()
  const { promise, open } = gate()
  let late: Promise<number> | undefined
  await locks.withXactLock({
    key: 'outer',
    fn: () => {
      late = promise.then(() => locks.withXactLock({ key: 'late', fn: () => lab.held() }))
    },
  })
  open()
  expect(await late).toBe(1)
})

test('what begins after a nested section has ended belongs to the outer one', async () => {
  const locks = lab.locks({ max: 1 })
  const { promise, open } = gate()
  await locks.withXactLock({
    key: 'outer',
    fn: async () => {
      let late: Promise<number> | undefined
      await locks.withXactLock({
        key: 'inner',
        fn: () => {
          late = promise.then(() => locks.withXactLock({ key: 'late', fn: () => lab.held() }))
        },
      })
      open()
      expect(await late).toBe(2)
    },
  })
})

test('a nested lock that is not had in time leaves the outer section as it was', async () => {
  const [locks, other] = [lab.locks({ lockTimeoutMs: 50 }), lab.locks({ applicationName: 'the holder' })]
  const lock = await other.tryAcquire('taken')
  await locks.withXactLock({
    key: 'outer',
    fn: async () => {
      const error = await errorOf(locks.withXactLock({ key: 'taken', fn: () => 1 }))
      expect(error).toMatchObject({
        code: 'TESTDB_LOCK_TIMEOUT',
        details: { waitedFor: 'lock', holder: { applicationName: 'the holder' } },
      })
      expect(await locks.withXactLock({ key: 'free', fn: () => lab.held() })).toBe(3)
      await lock?.release()
      expect(await locks.withXactLock({ key: 'taken', fn: () => 'now' })).toBe('now')
    },
  })
})

test('a deadlock of two outer sections ends the waiting of one, whose outer section goes on', async () => {
  const [one, other] = [lab.locks(), lab.locks()]
  const [oneIn, otherIn] = [gate(), gate()]
  const cross = (locks: AdvisoryLocks, mine: string, theirs: string, me: () => void, them: Promise<void>) =>
    locks.withXactLock({
      key: mine,
      fn: async () => {
        me()
        await them
        const result = await locks.withXactLock({ key: theirs, fn: () => 'had both' }).catch((error: unknown) => error)
        return [result, await locks.withXactLock({ key: `${mine} goes on`, fn: () => true })]
      },
    })
  const results = await within(
    'both have ended',
    Promise.all([
      cross(one, 'a', 'b', oneIn.open, otherIn.promise),
      cross(other, 'b', 'a', otherIn.open, oneIn.promise),
    ]),
  )
  expect(results.map(([, on]) => on)).toEqual([true, true])
  const errors = results.map(([result]) => result).filter((result) => result !== 'had both')
  expect(errors).toMatchObject([
    { code: 'TESTDB_LOCK_DEADLOCK', details: { retryable: true }, cause: { code: '40P01' } },
  ])
})

test('a deadlock inside one outer section, which Postgres can not see, ends with the time limit', async () => {
  const locks = lab.locks({ lockTimeoutMs: 100 })
  const [aIn, bIn] = [gate(), gate()]
  const nest = (mine: string, theirs: string, me: () => void, them: Promise<void>): Promise<unknown> =>
    locks.withXactLock({
      key: mine,
      fn: async () => {
        me()
        await them
        return await locks.withXactLock({ key: theirs, fn: () => 'had both' }).catch((error: unknown) => error)
      },
    })
  const results = await locks.withXactLock({
    key: 'outer',
    fn: () => Promise.all([nest('a', 'b', aIn.open, bIn.promise), nest('b', 'a', bIn.open, aIn.promise)]),
  })
  expect(results).toContainEqual(expect.objectContaining({ code: 'TESTDB_LOCK_TIMEOUT' }))
})

test('a lock by hand inside a section uses its connection and ends with it at the latest', async () => {
  const [locks, other] = [lab.locks({ max: 1 }), lab.locks()]
  const lock = await locks.withXactLock({
    key: 'outer',
    fn: async () => {
      const released = await locks.tryAcquire('released')
      await released?.release()
      expect(await isFree(other, 'released')).toBe(true)
      return await locks.tryAcquire('kept')
    },
  })
  expect(lock?.signal.reason).toMatchObject({ code: 'TESTDB_LOCK_LOST' })
  expect(await errorOf(lock?.release() ?? Promise.resolve())).toBe(lock?.signal.reason)
  expect(await isFree(other, 'kept')).toBe(true)
})

test('a lock by hand that a nested section has is refused; one of a section around is had', async () => {
  const [locks, other] = [lab.locks(), lab.locks()]
  const [begun, until] = [gate(), gate()]
  await locks.withXactLock({
    key: 'outer',
    fn: async () => {
      const busy = locks.withXactLock({ key: 'busy', fn: pass(begun, until) })
      await begun.promise
      expect(await locks.tryAcquire('busy')).toBeUndefined()
      await using inherited = await locks.tryAcquire('outer')
      expect(inherited?.signal.aborted).toBe(false)
      until.open()
      await busy
    },
  })
  await eventually('all is free', async () => (await isFree(other, 'outer')) && (await isFree(other, 'busy')))
})

test('rolling back to a savepoint frees its lock on this server', async () => {
  const session = await lab.world.open()
  await session.batch('begin; savepoint a; select pg_advisory_xact_lock(1)')
  await session.batch('savepoint b; select pg_advisory_xact_lock(1); select pg_advisory_xact_lock(2)')
  expect(await lab.held()).toBe(2)
  await session.batch('rollback to savepoint b; release savepoint b')
  expect(await lab.held()).toBe(1)
  await session.batch('rollback to savepoint a')
  expect(await lab.held()).toBe(0)
  await session.query('commit')
})

test('what begins after the function has returned is outside, also while the section waits for what began before', async () => {
  const locks = lab.locks({ applicationName: 'later' })
  const { promise: first, open: endFirst } = gate()
  const { promise: second, open: beginSecond } = gate()
  let outside: Promise<void> | undefined
  const section = locks.withXactLock({
    key: 'outer',
    fn: () => {
      void locks.withXactLock({ key: 'first', fn: () => first })
      // In the context of the section, but later.
      void second.then(() => {
        outside = locks.withXactLock({ key: 'later', fn: () => new Promise(() => undefined) })
        outside.catch(() => undefined)
      })
    },
  })
  await eventually('the first one runs', async () => (await lab.count(true)) === 2)
  beginSecond()
  await eventually('the later one has a connection of its own', async () => (await lab.backends('later')).length === 2)
  endFirst()
  await within('the section does not wait for it', section)
  await locks.close({ graceMs: 0 })
})
