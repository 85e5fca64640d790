/**
 * What every kind of server has to do, as tests. A kind is declared with how to reach its server and what it should be able to do;
 * what it can't is tested too: it is refused at once, or something else takes its place.
 *
 *   serverContract({
 *     name: 'a container',
 *     start: async () => ({ open: () => startContainer(…), stop: … }),
 *     can: { createDatabase: true, resetRows: true, endSessions: 'all' },
 *   })
 *
 * Nothing else may use the server meanwhile. Everything is made through `startRun` and leases, as runners do it.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { acquireDatabase } from '../../src/acquire.ts'
import type { TestDbConfig } from '../../src/config/config.ts'
import { resolveConfig } from '../../src/config/resolve.ts'
import type { WorkerDatabase } from '../../src/databases/database.ts'
import { sqlMigrator } from '../../src/migrators/index.ts'
import { type Session, withSession } from '../../src/postgres/index.ts'
import type { Run } from '../../src/run.ts'
import type { Capabilities } from '../../src/server/capabilities.ts'
import type { Server } from '../../src/server/server.ts'
import { startRun } from '../../src/start-run.ts'
import { leftoversOf } from '../e2e/servers.ts'
import { spawnActor } from '../helpers/actor.ts'
import { snapshotDatabase } from '../helpers/snapshot.ts'
import { collect, errorOf } from '../helpers/wait.ts'

export interface ServerKind {
  readonly name: string
  /** Why it can't be had on this machine: printed, and the tests are skipped. */
  readonly missing?: string | undefined
  /** Makes the server ready; called once. */
  start(): Promise<{
    /** Attaches or connects, as each run does; always to the same server. */
    open(): Promise<Server>
    stop(): Promise<void>
  }>
  /** What `capabilities` must say, and what must really work, or not. */
  readonly can: Pick<Capabilities, 'createDatabase' | 'resetRows' | 'endSessions'>
}

const MIGRATION = `
  create table authors (id serial primary key, name text not null);
  create table books (id serial primary key, author int not null references authors on delete cascade, title text);
  create view titles as select title from books;`
const SEED = `insert into authors (name) values ('Ada'), ('Grace'); insert into books (author, title) values (1, 'Notes');`
/** Leaves other rows, other values and moved sequences behind. */
const MESS = `delete from books; update authors set name = 'Bob' where id = 1;
  insert into authors (name) values ('Eve'); insert into books (author, title) values (3, 'One'), (3, 'Two')`

export function serverContract(kind: ServerKind): void {
  if (kind.missing !== undefined) writeSync(2, `\n*** SKIPPED: the contract on ${kind.name}: ${kind.missing} ***\n\n`)
  describe.skipIf(kind.missing !== undefined)(kind.name, () => {
    let open: () => Promise<Server>
    let stop = async (): Promise<void> => undefined
    let root: string
    let server: Server
    const runs: Run[] = []

    beforeAll(async () => {
      ;({ open, stop } = await kind.start())
      root = mkdtempSync(join(tmpdir(), 'testdb-contract-'))
      mkdirSync(join(root, 'migrations'))
      writeFileSync(join(root, 'package.json'), '{"name":"contract"}')
      writeFileSync(join(root, 'migrations/001_library.sql'), MIGRATION)
      writeFileSync(join(root, 'seed.sql'), SEED)
      server = await open()
    }, 120_000)
    afterAll(async () => {
      for (const run of runs) await run.close()
      await server?.release()
      await stop()
      rmSync(root, { recursive: true, force: true })
    })

    const configOf = (options: TestDbConfig) => {
      const migrator = sqlMigrator({ directory: 'migrations' })
      const own = { migrator, seed: 'seed.sql', pool: { max: 2 }, ...options }
      return resolveConfig({ cwd: root, env: {}, options: own })
    }
    const begin = async (options: TestDbConfig = {}, slots = 2): Promise<Run> => {
      const run = await startRun(await configOf(options), { runner: 'contract', slots, open })
      runs.push(run)
      return run
    }
    const admin = <T>(body: (session: Session) => Promise<T>): Promise<T> =>
      withSession(server.admin, { applicationName: 'test' }, body)
    const oids = (names: readonly string[]): Promise<unknown[]> =>
      admin(async (session) => {
        const { rows } = await session.query<{ oid: number }>(
          'select oid::int from pg_database where datname = any ($1) order by datname',
          [names],
        )
        return rows.map(({ oid }) => oid)
      })
    const contentOf = (database: WorkerDatabase) =>
      withSession({ ...server.admin, database: database.name }, { applicationName: 'test' }, snapshotDatabase)

    test('capabilities are what really works', async () => {
      expect(server.capabilities).toMatchObject(kind.can)
      await admin(async (session) => {
        const works = (sql: string): Promise<boolean> => session.query(sql).then(() => true, isRefusal)
        expect(server.capabilities.role).toBe(session.target.user)
        expect(await works('create database contract_probe template template0')).toBe(kind.can.createDatabase)
        if (kind.can.createDatabase) await session.query('drop database contract_probe')

        await session.query(
          'begin; create function pg_temp.noted() returns event_trigger language plpgsql as $$begin end$$',
        )
        const events = await works(
          'create event trigger contract_probe on ddl_command_end execute function pg_temp.noted()',
        )
        await session.query('rollback')
        const replica = await works('set session_replication_role = replica')
        expect(events && replica).toBe(kind.can.resetRows)
        if (replica) await session.query('reset session_replication_role')

        await withSession(server.admin, { applicationName: 'test' }, async (other) => {
          const pid = (await other.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid
          expect(await works(`select pg_terminate_backend(${pid})`)).toBe(kind.can.endSessions !== 'none')
        })
      })
    })

    if (!kind.can.createDatabase) {
      test('a database for each worker is refused at once, with nothing written', async () => {
        const failure = await errorOf(begin())
        expect(failure).toMatchObject({ code: 'TESTDB_RIGHTS_MISSING', details: { right: 'createDatabase' } })
        for (const fix of ['CREATEDB', "isolation: 'schema'", "isolation: 'shared'"])
          expect(failure.message).toContain(fix)
        const { rows } = await admin((session) => session.query(`select from pg_namespace where nspname = 'testdb'`))
        expect(rows).toEqual([])
      })

      test('one shared database is migrated once', async () => {
        using built = collect('template.built')
        const { host, port, database } = server.admin
        // Where it really is, `open` knows.
        const shared = {
          isolation: 'shared',
          server: { kind: 'url', url: `postgres://${host}:${port}/${database}` },
        } as const
        for (let n = 0; n < 2; n++) {
          const run = await begin(shared)
          const own = await acquireDatabase(run.context, { slot: '1' })
          expect((await own.query('select count(*)::int as count from authors')).rows).toEqual([{ count: 0 }])
          await own.release()
          await run.close()
        }
        expect(built.events).toMatchObject([{ migrations: 1 }])
        const { rows } = await admin((session) => session.query('select from testdb.runs'))
        expect(rows).toEqual([])
      })
      return
    }

    let template = { id: 0, name: '' }
    let names: readonly string[] = []
    let before: readonly unknown[] = []

    test('builds a template with migrations and seed; leases are apart; a reset brings back the content exactly', async () => {
      using built = collect('template.built')
      using warned = collect('warning.raised')
      const run = await begin()
      expect(built.events).toMatchObject([{ migrations: 1 }])
      template = run.context.template ?? template
      expect(run.context.reset).toBe(kind.can.resetRows ? 'rows' : 'truncate')
      const fallback = warned.events.filter(({ message }) => message.includes("put back by 'truncate'"))
      expect(fallback).toHaveLength(kind.can.resetRows ? 0 : 1)

      const [first, second] = await Promise.all([
        acquireDatabase(run.context, { slot: '1' }),
        acquireDatabase(run.context, { slot: '2' }),
      ])
      names = [first.name, second.name].sort()
      expect(new Set(names).size).toBe(2)
      const clean = await contentOf(first)
      expect(clean.tables['"public"."books"']).toEqual(['(1,1,Notes)'])
      for (const each of MESS.split(';')) await first.query(each)
      expect(await contentOf(first)).not.toEqual(clean)
      expect(await contentOf(second)).toEqual(clean)
      await first.reset()
      expect(await contentOf(first)).toEqual(clean)

      await Promise.all([first.release(), second.release()])
      await run.close()
    })

    test('the template is sealed', async () => {
      const { rows } = await admin((session) =>
        session.query('select datallowconn, datistemplate from pg_database where datname = $1', [template.name]),
      )
      expect(rows).toEqual([{ datallowconn: false, datistemplate: true }])
      const inside = withSession(
        { ...server.admin, database: template.name },
        { applicationName: 'test' },
        async () => 'in',
      )
      expect((await errorOf(inside)).message).toMatch(/not currently accepting connections/)
      before = await oids([template.name, ...names])
      expect(before).toHaveLength(3)
    })

    test('release leaves nothing but idle databases', async () => {
      await expect
        .poll(async () => (await admin(leftoversOf)).filter((one) => !isPooled(one, server)), { timeout: 10_000 })
        .toEqual([])
    })

    test('a second run takes the same template and the same databases', async () => {
      using built = collect('template.built')
      using created = collect('database.created')
      const run = await begin()
      const both = [
        await acquireDatabase(run.context, { slot: '1' }),
        await acquireDatabase(run.context, { slot: '2' }),
      ]
      expect(both.map(({ name }) => name).sort()).toEqual(names)
      for (const database of both) await database.release()
      await run.close()
      expect([...built.events, ...created.events]).toEqual([])
      expect(await oids([template.name, ...names])).toEqual(before)
    })

    test('the lease of a killed worker is free, and nobody gets what it left behind', async () => {
      const run = await begin()
      const actor = spawnActor('worker', { context: run.context, sql: MESS })
      const lost = await actor.said<string>('leased')
      await actor.kill()
      const next = await acquireDatabase(run.context, { slot: '1' })
      const other = await acquireDatabase(run.context, { slot: '2' })
      for (const database of [next, other]) {
        expect((await database.query('select name from authors order by id')).rows).toEqual([
          { name: 'Ada' },
          { name: 'Grace' },
        ])
      }
      expect(names).toContain(lost)
      await Promise.all([next.release(), other.release()])
      await run.close()
    })

    test('the budget: each database takes what was reserved for it, and the server says no to more', async () => {
      const run = await begin()
      const { connectionLimit, connections } = run.reservation
      const database = await acquireDatabase(run.context, { slot: '1' })
      expect(connections).toBeGreaterThanOrEqual(1 + 2 * (1 + connectionLimit))
      const limit = (
        await database.query<{ limit: number }>(
          'select datconnlimit as limit from pg_database where datname = current_database()',
        )
      ).rows[0]?.limit
      expect(limit).toBe(connectionLimit)
      await database.pool.end()

      // A pooler lets clients wait instead.
      if (!server.admin.pooled) await expectRefused(database.url, connectionLimit)
      await database.release()
      await run.close()
    })
  })
}

/** Opens connections until the database takes no more; one of them is the session of the lease. */
async function expectRefused(url: string, limit: number): Promise<void> {
  const strays: pg.Client[] = []
  const opening = async (): Promise<void> => {
    for (let n = 0; n <= limit; n++) {
      const stray = new pg.Client({ connectionString: url, application_name: 'stray' })
      stray.on('error', () => undefined)
      await stray.connect()
      strays.push(stray)
    }
  }
  expect((await errorOf(opening())).message).toMatch(/too many connections for database/)
  expect(strays.length).toBe(limit - 1)
  await Promise.all(strays.map((stray) => stray.end()))
}

/** What was refused; anything else is a failure of the test. */
function isRefusal(error: unknown): false {
  const { code } = error as { code?: string }
  if (code === '42501') return false
  throw error
}

/** A pooler keeps sessions that nobody has any more. */
const isPooled = (leftover: string, { admin }: Server): boolean =>
  admin.pooled === true && leftover.startsWith('session ')
