import { writeSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { formatUrl, Session } from '../../src/postgres/index.ts'
import { connectUrl } from '../../src/server/url.ts'
import { errorOf } from '../helpers/wait.ts'
import { LockLab } from './lab.ts'
import { PGBOUNCER, startBouncer } from './pgbouncer.ts'

if (PGBOUNCER === undefined) {
  // Not console: a reporter may swallow it.
  writeSync(
    2,
    '\n*** SKIPPED: tests of poolers need PgBouncer (apt-get install pgbouncer), and it is not installed. ***\n\n',
  )
}

describe.skipIf(PGBOUNCER === undefined)('PgBouncer', () => {
  let lab: LockLab
  beforeAll(async () => {
    lab = await LockLab.open()
  })
  afterAll(() => lab.close())

  test('in session mode: locks exclude, time limits hold', async () => {
    await using bouncer = await startBouncer(lab.world.admin, 'session')
    const connectionString = formatUrl(bouncer.target)
    const locks = lab.locks({
      connectionString,
      lockTimeoutMs: 60,
      idleInTransactionMs: 1_000,
      applicationName: 'bounced',
    })
    const direct = lab.locks()
    await locks.withXactLock({
      key: 'k',
      fn: async () => {
        expect(await direct.tryAcquire('k')).toBeUndefined()
        await locks.withXactLock({ key: 'nested', fn: async () => expect(await lab.held()).toBe(2) })
      },
    })
    const lock = await direct.tryAcquire('taken')
    expect(await errorOf(locks.withXactLock({ key: 'taken', fn: () => 1 }))).toMatchObject({
      code: 'TESTDB_LOCK_TIMEOUT',
      details: { holder: { applicationName: 'locks' } },
    })
    await lock?.release()
    const stalled = await errorOf(
      locks.withXactLock({
        key: 'stalls',
        fn: ({ signal }) => new Promise((resolve) => signal.addEventListener('abort', resolve)),
      }),
    )
    expect(stalled).toMatchObject({ code: 'TESTDB_LOCK_LOST' })
    await locks.close()
  })

  test('in transaction mode: refused before anything is locked or set', async () => {
    await using bouncer = await startBouncer(lab.world.admin, 'transaction')
    const locks = lab.locks({ connectionString: formatUrl(bouncer.target), lockTimeoutMs: 4_321 })
    const calls = [locks.withXactLock({ key: 'k', fn: () => 1 }), locks.tryAcquire('other')]
    for (const error of await Promise.all(calls.map(errorOf))) {
      expect(error).toMatchObject({ code: 'TESTDB_SERVER_UNSUPPORTED' })
      expect(error.message).toContain('is a pooler in transaction mode')
    }
    await locks.close()
    // In the sessions that the pooler hands to others.
    const session = await Session.open(bouncer.target, { applicationName: 'somebody else' })
    const seen = new Set<unknown>()
    for (let i = 0; i < 20; i++)
      seen.add((await session.query<{ lock_timeout: string }>('show lock_timeout')).rows[0]?.lock_timeout)
    await session.close()
    expect([...seen]).toEqual(['0'])
  })

  test.each([1, 2])(
    'in transaction mode with %i connections to the server, while many come at once: refused',
    async (poolSize) => {
      await using bouncer = await startBouncer(lab.world.admin, 'transaction', { poolSize })
      const services = Array.from({ length: 40 }, () => lab.locks({ connectionString: formatUrl(bouncer.target) }))
      const errors = await Promise.all(services.map((locks) => errorOf(locks.tryAcquire('k'))))
      expect(errors.map(({ code }: { code?: string }) => code)).toEqual(errors.map(() => 'TESTDB_SERVER_UNSUPPORTED'))
    },
  )

  test('the server of a test run is looked at in the same way', async () => {
    await using bouncer = await startBouncer(lab.world.admin, 'transaction')
    const url = formatUrl(bouncer.target)
    expect(await errorOf(connectUrl({ url, allow: true }))).toMatchObject({ code: 'TESTDB_SERVER_UNSUPPORTED' })
    await using session = await startBouncer(lab.world.admin, 'session')
    expect(await connectUrl({ url: formatUrl(session.target), allow: true })).toMatchObject({ kind: 'url' })
  })
})
