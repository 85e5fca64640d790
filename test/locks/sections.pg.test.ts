import { afterAll, beforeAll, expect, test } from 'vitest'
import { isTestDbError } from '../../src/errors.ts'
import { errorOf, eventually, within } from '../helpers/wait.ts'
import { gate } from './gate.ts'
import { LockLab, outside } from './lab.ts'

let lab: LockLab
beforeAll(async () => {
  lab = await LockLab.open()
})
afterAll(() => lab.close())

test('a section gives its value, and its lock is held exactly as long as it runs', async () => {
  const locks = lab.locks()
  expect(await locks.withXactLock({ key: 'a', fn: async () => [await lab.held(), 'value'] })).toEqual([1, 'value'])
  expect(await lab.held()).toBe(0)
})

test('an error of a section is thrown as it is, and frees the lock', async () => {
  const locks = lab.locks()
  const mine = new Error('mine')
  expect(await errorOf(locks.withXactLock({ key: 'a', fn: () => Promise.reject(mine) }))).toBe(mine)
  expect(await lab.held()).toBe(0)
  expect(await locks.withXactLock({ key: 'a', fn: () => 1 })).toBe(1)
})

const KEYS = ['text', 7, 7n, -1n, [1, 2], [-1, -2_147_483_648], 2n ** 63n - 1n, -(2n ** 63n), -0] as const
test.each(KEYS.map((key) => ({ key })))('the key $key excludes another service', async ({ key }) => {
  const [one, other] = [lab.locks(), lab.locks()]
  await one.withXactLock({
    key,
    fn: async () => {
      expect(await other.tryAcquire(key)).toBeUndefined()
      const free = await other.tryAcquire('something else')
      expect(free?.key).toBe('something else')
      await free?.release()
    },
  })
  const lock = await other.tryAcquire(key)
  expect(lock?.signal.aborted).toBe(false)
  await lock?.release()
})

test('one key in all its forms is one lock; a pair is another', async () => {
  const [one, other] = [lab.locks(), lab.locks()]
  await one.withXactLock({
    key: 5,
    fn: async () => {
      expect(await other.tryAcquire(5n)).toBeUndefined()
      await (await other.tryAcquire([0, 5]))?.release()
    },
  })
  expect.assertions(1)
})

test('an invalid key is told before anything is asked', async () => {
  const locks = lab.locks()
  const error = await errorOf(locks.withXactLock({ key: '', fn: () => 1 }))
  expect(error).toMatchObject({ code: 'TESTDB_LOCK_KEY_INVALID' })
  expect((await errorOf(locks.tryAcquire(1.5))).message).toContain('1.5, which is no safe integer')
  expect(locks.stats()).toEqual({ max: 10, inUse: 0, idle: 0, waiting: 0 })
})

test('calls for one key go on in their order, over one connection', async () => {
  const locks = lab.locks({ applicationName: 'queue' })
  const order: number[] = []
  const calls = Array.from({ length: 30 }, (_, i) => locks.withXactLock({ key: 'q', fn: () => void order.push(i) }))
  await Promise.all(calls)
  expect(order).toEqual(order.map((_, i) => i))
  expect(locks.stats()).toEqual({ max: 10, inUse: 0, idle: 1, waiting: 0 })
  await locks.close()
})

test('who waits too long for another service is told who has it', async () => {
  const [one, other] = [lab.locks({ applicationName: 'the holder' }), lab.locks({ lockTimeoutMs: 50 })]
  await one.withXactLock({
    key: 'order:1',
    fn: async () => {
      const error = await errorOf(other.withXactLock({ key: 'order:1', fn: () => 1 }))
      const [pid] = await lab.backends('the holder')
      expect(error).toMatchObject({
        code: 'TESTDB_LOCK_TIMEOUT',
        details: {
          retryable: true,
          waitedFor: 'lock',
          key: '"order:1"',
          waitedMs: expect.any(Number),
          holder: { pid, applicationName: 'the holder', state: 'idle in transaction', heldMs: expect.any(Number) },
        },
        cause: { code: '55P03' },
      })
      expect(error.message).toContain(`pid ${pid} (the holder, idle in transaction`)
    },
  })
  expect(await other.withXactLock({ key: 'order:1', fn: () => 'free' })).toBe('free')
})

test('who waits too long in this process is told so as well, and leaves the queue', async () => {
  const locks = lab.locks({ lockTimeoutMs: 80, applicationName: 'one process' })
  const { promise, open } = gate()
  const holder = locks.withXactLock({ key: 'k', fn: () => promise })
  await eventually('it is held', async () => (await lab.held()) === 1)
  const error = await errorOf(locks.withXactLock({ key: 'k', fn: () => 1 }))
  expect(error).toMatchObject({ code: 'TESTDB_LOCK_TIMEOUT', details: { waitedFor: 'lock', retryable: true } })
  const [pid] = await lab.backends('one process')
  expect(error.details?.holder).toMatchObject({ pid, applicationName: 'one process' })
  open()
  await holder
  expect(await locks.withXactLock({ key: 'k', fn: () => 2 })).toBe(2)
})

test('who gets no connection is told how full the pool is', async () => {
  const locks = lab.locks({ max: 1, connectionTimeoutMs: 1_000 })
  await locks.withXactLock({
    key: 'first',
    fn: async () => {
      // From outside of the section: inside it would use its connection.
      const error = await outside(() => errorOf(other()))
      expect(error).toMatchObject({
        code: 'TESTDB_LOCK_TIMEOUT',
        details: { waitedFor: 'connection', key: '"second"', max: 1, inUse: 1, retryable: true },
      })
    },
  })
  function other(): Promise<number> {
    return locks.withXactLock({ key: 'second', fn: () => 1 })
  }
  expect(await other()).toBe(1)
})

test('no server', async () => {
  const locks = lab.locks({ connectionString: 'postgresql://someone:secret@127.0.0.1:1/app_test' })
  const error = await errorOf(locks.withXactLock({ key: 'a', fn: () => 1 }))
  expect(error).toMatchObject({ code: 'TESTDB_SERVER_UNREACHABLE', cause: { code: 'ECONNREFUSED' } })
  expect(String(error)).not.toContain('secret')
})

test('a lock by hand: taken, refused, given back once', async () => {
  const [one, other] = [lab.locks(), lab.locks()]
  const lock = await one.tryAcquire('hand')
  expect(await one.tryAcquire('hand')).toBeUndefined()
  expect(await other.tryAcquire('hand')).toBeUndefined()
  expect(lock?.release()).toBe(lock?.release())
  await lock?.release()
  expect(await lab.held()).toBe(0)
  {
    await using again = await other.tryAcquire('hand')
    expect(again?.signal.aborted).toBe(false)
    expect(await lab.held()).toBe(1)
  }
  expect(await lab.held()).toBe(0)
})

test('close waits for what runs, refuses what waits and what comes, and can be called again', async () => {
  const locks = lab.locks({ max: 1 })
  const { promise, open } = gate()
  const inside = gate()
  const running = locks.withXactLock({
    key: 'runs',
    fn: async () => {
      inside.open()
      await promise
      return await locks.withXactLock({ key: 'nested', fn: () => 'nested' })
    },
  })
  await inside.promise
  const waiting = [errorOf(locks.withXactLock({ key: 'runs', fn: () => 1 })), errorOf(locks.tryAcquire('other'))]
  const closed = locks.close()
  expect(locks.close()).toBe(closed)
  for (const error of [...waiting, errorOf(locks.withXactLock({ key: 'new', fn: () => 1 }))])
    expect(await within('it is refused', error)).toMatchObject({ code: 'TESTDB_LOCKS_CLOSED' })
  open()
  expect(await running).toBe('nested')
  await closed
})

test('close cuts what does not end in time', async () => {
  const locks = lab.locks({ applicationName: 'cut' })
  let reason: unknown
  const inside = gate()
  const running = errorOf(
    locks.withXactLock({
      key: 'hangs',
      fn: async ({ signal }) => {
        inside.open()
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
        reason = signal.reason
      },
    }),
  )
  await inside.promise
  await within('it is closed', locks.close({ graceMs: 50 }), 5_000)
  const error = await running
  expect(error).toBe(reason)
  expect(isTestDbError(error) && error.code).toBe('TESTDB_LOCK_LOST')
  await eventually('the backend is gone', async () => (await lab.backends('cut')).length === 0)
})

test.each([Number.NaN, -1, 1e12, Number.POSITIVE_INFINITY, '5'])(
  'close does not take %s for a time',
  async (graceMs) => {
    const locks = lab.locks()
    expect(await errorOf(locks.close({ graceMs: graceMs as number }))).toMatchObject({
      code: 'TESTDB_CONFIG_INVALID',
      what: expect.stringContaining('graceMs: expected an integer from 0 to 86400000 (ms), got '),
    })
    expect(await locks.withXactLock({ key: 'a', fn: () => 'still open' })).toBe('still open')
  },
)

test('a section without a function is told so before anything is asked', async () => {
  const locks = lab.locks({ connectionString: 'postgresql://nobody@127.0.0.1:1/none' })
  const error = await errorOf(locks.withXactLock({ key: 'a' } as never))
  expect(error).toMatchObject({
    code: 'TESTDB_CONFIG_INVALID',
    what: expect.stringContaining('fn: expected a function'),
  })
})
