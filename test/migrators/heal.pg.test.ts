import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Events, subscribe } from '../../src/events.ts'
import { healLock, healStaleLock, inspectLock, lockHolders } from '../../src/migrators/heal.ts'
import type { TableName } from '../../src/migrators/migrator.ts'
import { type ConnectionTarget, ident, Session, withSession } from '../../src/postgres/index.ts'
import { fromPackages } from '../helpers/packages.ts'
import { startTestServer, type TestServer } from '../helpers/plain-postgres.ts'
import { failureOf } from './migrator-contract.ts'

const TABLE: TableName = { table: 'knex_migrations_lock' }
const OPS: TableName = { schema: 'ops', table: 'mig_lock' }

let server: TestServer
beforeAll(async () => {
  server = await startTestServer()
})
afterAll(() => server.stop())

const open = (target: ConnectionTarget, applicationName: string): Promise<Session> =>
  Session.open(target, { applicationName })

/** A database with Knex's lock table and these values of is_locked, and a session on it. */
async function withLock(values: readonly (number | null)[], body: (session: Session) => Promise<void>, table = TABLE) {
  const target = await server.createDatabase()
  await withSession(target, { applicationName: 'test' }, async (session) => {
    if (table.schema) await session.query(`create schema ${table.schema}`)
    const name = [table.schema, table.table].filter(Boolean).join('.')
    await session.query(`create table ${name} (index serial primary key, is_locked int)`)
    for (const value of values) await session.query(`insert into ${name} (is_locked) values ($1)`, [value])
    await body(session)
  })
}

describe('inspectLock', () => {
  test.each([
    [[0], false, 'is_locked = 0'],
    [[1], true, 'is_locked = 1'],
    [[null], true, 'is_locked = null'],
    [[], true, 'no row'],
    [[0, 0], true, '2 rows'],
    [[0, 1], true, '2 rows'],
  ] as const)('%j: broken %s, %s', async (values, broken, found) => {
    await withLock(values, async (session) => {
      expect(await inspectLock(session, TABLE)).toMatchObject({ exists: true, rows: values.length, broken, found })
    })
  })

  test('no table is not broken', async () => {
    await withLock([1], async (session) => {
      expect(await inspectLock(session, { table: 'other_lock' })).toMatchObject({ exists: false, broken: false })
      expect(await healLock(session, { table: 'other_lock' })).toBe(false)
    })
  })

  test('without a schema the visible table is meant, else the only one', async () => {
    await withLock(
      [1],
      async (session) => {
        expect((await inspectLock(session, { table: OPS.table })).found).toBe('is_locked = 1')
        await session.query('create table mig_lock (index serial primary key, is_locked int)')
        expect((await inspectLock(session, { table: OPS.table })).found).toBe('no row')
        expect((await inspectLock(session, OPS)).found).toBe('is_locked = 1')
      },
      OPS,
    )
  })
})

describe('lockHolders', () => {
  test('working sessions always count, idle ones for a while, ours never', async () => {
    await withLock([1], async (session) => {
      const { target } = session
      const inTransaction = await open(target, 'in transaction')
      await inTransaction.query('begin')
      const idle = await open(target, 'idle')
      const ours = await open(target, 'testdb coordination')
      const active = await open(target, 'active')
      const sleeping = active.query('select pg_sleep(30)').catch(() => undefined)
      const names = async (idleCountsMs?: number) =>
        (await lockHolders(session, idleCountsMs)).map((one) => one.applicationName).sort()
      await expect.poll(() => names()).toEqual(['active', 'idle', 'in transaction'])
      await expect.poll(() => names(0)).toEqual(['active', 'in transaction'])
      await session.query('select pg_cancel_backend($1)', [active.backendPid])
      await sleeping
      for (const one of [inTransaction, idle, ours, active]) await one.close()
    })
  })

  test('sessions of other databases do not count', async () => {
    const other = await open(await server.createDatabase(), 'elsewhere')
    await withLock([1], async (session) => expect(await lockHolders(session)).toEqual([]))
    await other.close()
  })
})

describe('healStaleLock', () => {
  test.each([[[1]], [[0, 0]], [[]], [[1, 1]]])('heals %j when nobody could hold it', async (values) => {
    const healed: Events['lock.healed'][] = []
    const stop = subscribe('lock.healed', (event) => healed.push(event))
    await withLock(
      values,
      async (session) => {
        expect(await healStaleLock(session, OPS)).toBe(true)
        expect(await inspectLock(session, OPS)).toMatchObject({ rows: 1, locked: 0, broken: false })
        expect(await healStaleLock(session, OPS)).toBe(false)
        expect(healed.filter((one) => one.database === session.target.database)).toMatchObject([
          { table: 'ops.mig_lock' },
        ])
      },
      OPS,
    )
    stop()
  })

  test('waits while somebody could hold it, louder and louder, then names them', async () => {
    await withLock([1], async (session) => {
      const holder = await open(session.target, 'a migration')
      await holder.query('begin')
      const waits: Events['lock.waiting'][] = []
      const stop = subscribe('lock.waiting', (event) => waits.push(event))
      const times = { pollMs: 10, warnAfterMs: 500, criticalAfterMs: 1_000, timeoutMs: 1_500 }
      const error = await failureOf(healStaleLock(session, TABLE, times))
      stop()
      expect(error.code).toBe('TESTDB_MIGRATION_LOCKED')
      expect(error.message).toContain(`pid ${holder.backendPid} (a migration, user postgres`)
      expect(error.message).toContain('idle in transaction: begin')
      expect(error.message).toContain('is_locked = 1')
      expect(error.details).toMatchObject({ holders: [{ pid: holder.backendPid, applicationName: 'a migration' }] })
      expect([...new Set(waits.map((wait) => wait.severity))]).toEqual(['info', 'warning', 'critical'])
      expect((await inspectLock(session, TABLE)).found).toBe('is_locked = 1')
      await holder.close()
    })
  })

  test('goes on as soon as the holder has left, and says that there was nothing to heal when it unlocked', async () => {
    await withLock([1], async (session) => {
      const waiting = () =>
        new Promise<void>((resolve) => {
          const stop = subscribe('lock.waiting', () => {
            stop()
            resolve()
          })
        })
      const first = await open(session.target, 'dies')
      const seen = waiting()
      const heal = healStaleLock(session, TABLE, { pollMs: 10 })
      await seen
      await first.close()
      expect(await heal).toBe(true)

      const second = await open(session.target, 'finishes')
      await second.query('update knex_migrations_lock set is_locked = 1')
      const seenAgain = waiting()
      const noHeal = healStaleLock(session, TABLE, { pollMs: 10 })
      await seenAgain
      await second.query('update knex_migrations_lock set is_locked = 0')
      expect(await noHeal).toBe(false)
      await second.close()
    })
  })

  test('force does not ask who could hold it; an aborted signal ends the waiting', async () => {
    await withLock([1], async (session) => {
      const holder = await open(session.target, 'a migration')
      const lead = new AbortController()
      const reason = new Error('lead lost')
      const stop = subscribe('lock.waiting', () => lead.abort(reason))
      await expect(healStaleLock(session, TABLE, { signal: lead.signal, pollMs: 10_000 })).rejects.toBe(reason)
      stop()
      expect(await healStaleLock(session, TABLE, { force: true })).toBe(true)
      await holder.close()
    })
  })

  test('heals what a killed Knex has left, and not while its statement goes on', async () => {
    const target = await server.createDatabase()
    // As servers are by default: a backend does not notice the end of its client before its statement ends.
    await withSession(target, { applicationName: 'test' }, (session) =>
      session.query(`alter database ${ident(target.database)} set client_connection_check_interval = 0`),
    )
    const child = await knexChild(target, 'select pg_sleep(300)')
    await withSession(target, { applicationName: 'test' }, async (session) => {
      await expect
        .poll(async () => (await inspectLock(session, TABLE)).found, { timeout: 15_000 })
        .toBe('is_locked = 1')
      const busy = async () => (await lockHolders(session, 0)).filter((one) => one.query?.includes('pg_sleep'))
      await expect.poll(async () => (await busy()).length, { timeout: 15_000 }).toBe(1)
      child.kill('SIGKILL')
      await once(child, 'exit')
      // The backend does not notice before its statement ends: the lock is not stale yet.
      const error = await failureOf(healStaleLock(session, TABLE, { timeoutMs: 50, pollMs: 10, idleCountsMs: 0 }))
      expect(error.message).toContain('pg_sleep')
      for (const { pid } of await busy()) await session.query('select pg_terminate_backend($1)', [pid])
      expect(await healStaleLock(session, TABLE, { pollMs: 10 })).toBe(true)
    })
    const again = await knexChild(target, 'create table done (id int)')
    expect(await once(again, 'exit')).toEqual([0, null])
  })
})

/** A real process that migrates with Knex outside a transaction. */
async function knexChild(target: ConnectionTarget, sql: string): Promise<ChildProcess> {
  const script = `
    const knex = require(process.argv[1])({ client: 'pg', connection: JSON.parse(process.argv[2]) })
    const migrationSource = {
      getMigrations: async () => ['m'],
      getMigrationName: (name) => name,
      getMigration: () => ({ up: (k) => k.raw(process.argv[3]), down: () => {}, config: { transaction: false } }),
    }
    knex.migrate.latest({ migrationSource }).then(() => knex.destroy())`
  const { host, port, user, database } = target
  const args = [fromPackages.resolve('knex'), JSON.stringify({ host, port, user, database }), sql]
  return spawn(process.execPath, ['-e', script, ...args], { stdio: 'ignore' })
}
