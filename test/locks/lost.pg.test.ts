import type { EventEmitter } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Level, LockConnection } from '../../src/locks/connection.ts'
import type { AdvisoryLocks } from '../../src/locks/index.ts'
import { DEFAULT_LIMITS } from '../../src/pools/limits.ts'
import { closePool, formatUrl, openPool, sqlLockKey } from '../../src/postgres/index.ts'
import { errorOf, eventually, within } from '../helpers/wait.ts'
import { gate } from './gate.ts'
import { LockLab } from './lab.ts'

let lab: LockLab
beforeAll(async () => {
  lab = await LockLab.open()
})
afterAll(() => lab.close())

const aborted = (signal: AbortSignal): Promise<unknown> =>
  within('the signal aborts', new Promise((resolve) => signal.addEventListener('abort', () => resolve(signal.reason))))

test('a backend that is ended aborts the signals of its sections at once, and their values do not count', async () => {
  const locks = lab.locks({ applicationName: 'ended' })
  const reasons: unknown[] = []
  const nested: unknown[] = []
  const error = await errorOf(
    locks.withXactLock({
      key: 'outer',
      fn: async ({ signal }) => {
        const inner = locks.withXactLock({
          key: 'inner',
          fn: async (own) => {
            const both = Promise.all([aborted(signal), aborted(own.signal)])
            expect(await lab.terminate('ended')).toBe(1)
            reasons.push(...(await both))
            return 'a value'
          },
        })
        nested.push(await errorOf(inner))
        nested.push(await errorOf(locks.withXactLock({ key: 'after', fn: () => 1 })))
        return 'a value'
      },
    }),
  )
  expect(error).toMatchObject({
    code: 'TESTDB_LOCK_LOST',
    details: { key: '"outer"', heldMs: expect.any(Number), retryable: true },
    cause: { code: '57P01' },
  })
  expect(error.message).toContain('terminating connection due to administrator command')
  expect(reasons).toEqual([error, nested[0]])
  expect(nested).toMatchObject([
    { code: 'TESTDB_LOCK_LOST', details: { key: '"inner"' } },
    { code: 'TESTDB_LOCK_LOST', details: { key: '"after"' } },
  ])
  expect(locks.stats()).toMatchObject({ inUse: 0, idle: 0 })
  expect(await locks.withXactLock({ key: 'outer', fn: () => 'again' })).toBe('again')
})

test('what a lost section threw is told too', async () => {
  const locks = lab.locks({ applicationName: 'threw' })
  const error = await errorOf(
    locks.withXactLock({
      key: 'k',
      fn: async ({ signal }) => {
        const lost = aborted(signal)
        await lab.terminate('threw')
        await lost
        throw new Error('half done')
      },
    }),
  )
  expect(error).toMatchObject({ code: 'TESTDB_LOCK_LOST', details: { thrown: 'half done' } })
})

test('a section that stalls is ended by the server, and reported', async () => {
  // Long beside the turn of the event loop in which its function begins: the server counts from its answer on.
  const locks = lab.locks({ idleInTransactionMs: 400 })
  const error = await errorOf(locks.withXactLock({ key: 'stalls', fn: ({ signal }) => aborted(signal) }))
  expect(error).toMatchObject({ code: 'TESTDB_LOCK_LOST', details: { key: '"stalls"' }, cause: { code: '25P03' } })
  expect(error.message).toContain('terminating connection due to idle-in-transaction timeout')
  expect(error.details?.heldMs).toBeGreaterThan(50)
})

test('who waits for the lock of a stalled section gets it, and the stalled one knows by then', async () => {
  const locks = lab.locks({ idleInTransactionMs: 400 })
  let first: AbortSignal | undefined
  const { promise, open } = gate()
  const begun = gate()
  const stalled = errorOf(
    locks.withXactLock({
      key: 'k',
      fn: ({ signal }) => {
        first = signal
        begun.open()
        return promise
      },
    }),
  )
  await begun.promise
  expect(await locks.withXactLock({ key: 'k', fn: () => first?.aborted })).toBe(true)
  open()
  expect(await stalled).toMatchObject({ code: 'TESTDB_LOCK_LOST' })
})

test('a backend that is ended while it waits for the lock', async () => {
  const [locks, other] = [lab.locks({ applicationName: 'waits' }), lab.locks()]
  const lock = await other.tryAcquire('k')
  const waiting = errorOf(locks.withXactLock({ key: 'k', fn: () => 1 }))
  await lab.waits()
  await lab.terminate('waits')
  expect(await waiting).toMatchObject({ code: 'TESTDB_LOCK_LOST', details: { key: '"k"', retryable: true } })
  await lock?.release()
  expect(await locks.withXactLock({ key: 'k', fn: () => 2 })).toBe(2)
})

test('a lock by hand that is lost says so when it is given back', async () => {
  const locks = lab.locks({ applicationName: 'by hand' })
  const lock = await locks.tryAcquire('k')
  const lost = lock && aborted(lock.signal)
  await lab.terminate('by hand')
  const reason = await lost
  expect(reason).toMatchObject({ code: 'TESTDB_LOCK_LOST' })
  expect(await errorOf(lock?.release() ?? Promise.resolve())).toBe(reason)
  expect(await errorOf(lock?.[Symbol.asyncDispose]() as Promise<void>)).toBe(reason)
})

test('no listener stays on a connection, however its section ends', async () => {
  const pool = openPool(lab.world.admin, { ...DEFAULT_LIMITS, max: 1 }, 'listeners')
  const limits = { answerMs: 10_000, idleInTransactionMs: 10_000 }
  const counts = (client: EventEmitter): unknown =>
    Object.fromEntries(client.eventNames().map((name) => [name, client.listenerCount(name)]))
  const client = await pool.connect()
  const before = counts(client)
  const during: unknown[] = []
  client.release()
  for (let i = 0; i < 12; i++) {
    const same = await pool.connect()
    expect([same, counts(same)]).toEqual([client, before])
    const connection = new LockConnection(same, limits)
    during.push(counts(same))
    await connection.acquire(sqlLockKey('k'), 'wait')
    const levels = await Promise.all(['a', 'b'].map((key) => connection.push(sqlLockKey(key), 'wait')))
    for (const level of levels) await connection.pop(level as Level)
    await (i % 2 ? connection.commit() : connection.rollback())
    connection.giveBack()
  }
  expect(during[0]).not.toEqual(before)
  expect(during.at(-1)).toEqual(during[0])

  const last = await pool.connect()
  const connection = new LockConnection(last, limits)
  await connection.acquire(sqlLockKey('k'), 'wait')
  const lost = new Promise((resolve) => connection.onLost(resolve))
  await lab.terminate('listeners')
  expect(await within('it is lost', lost)).toMatchObject({ code: '57P01' })
  await eventually('the pool is rid of it', () => pool.totalCount === 0)
  // Not `error`: the pool puts its own listeners on a connection that it removes. Its listener for the end is gone after the end.
  await eventually('nobody listens for its end', () => last.listenerCount('end') === 0)
  await closePool(pool, 1_000)
})

test('a network that breaks, and one that swallows everything', async () => {
  const { host, port } = lab.world.admin
  const sockets: Socket[] = []
  const proxy = createServer((near) => {
    const far = connect(port, host)
    for (const socket of [near, far]) socket.on('error', () => undefined)
    near.pipe(far).pipe(near)
    near.on('close', () => far.destroy())
    sockets.push(near, far)
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  const address = proxy.address() as { readonly port: number }
  const connectionString = formatUrl({ ...lab.world.admin, host: '127.0.0.1', port: address.port })
  const run = (locks: AdvisoryLocks, breaks: () => void): Promise<Error & { details?: Record<string, unknown> }> =>
    errorOf(
      locks.withXactLock({
        key: 'k',
        fn: async ({ signal }) => {
          const lost = aborted(signal)
          breaks()
          await lost
        },
      }),
    )

  const cut = await run(lab.locks({ connectionString }), () => {
    for (const socket of sockets) socket.destroy()
  })
  expect(cut).toMatchObject({ code: 'TESTDB_LOCK_LOST' })

  const silent = await run(lab.locks({ connectionString, idleInTransactionMs: 400 }), () => {
    for (const socket of sockets) socket.unpipe().pause()
  })
  expect(silent).toMatchObject({ code: 'TESTDB_LOCK_LOST' })
  expect(silent.message).toContain('no word from the server for 400 ms')
  for (const socket of sockets) socket.destroy()
  proxy.close()
  await eventually('the server has noticed', async () => (await lab.held()) === 0)
})
