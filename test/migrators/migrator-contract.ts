/** What every migrator must do. A new one passes this suite with a few lines. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isTestDbError, type TestDbError } from '../../src/errors.ts'
import type { MigratorDefinition } from '../../src/migrators/migrator.ts'
import { withSession } from '../../src/postgres/index.ts'
import { load, migrate, rows } from '../helpers/migrate.ts'
import { startTestServer, type TestServer } from '../helpers/plain-postgres.ts'
import { type ProjectFolder, projectFolder } from '../helpers/project-folder.ts'

export interface MigratorCase {
  readonly definition: (project: ProjectFolder) => MigratorDefinition
  /** Files that create the tables `a` and `b`, in this order. */
  readonly files: Readonly<Record<string, string>>
  /** Files whose last migration fails with 42P01 on the word `nowhere`. */
  readonly broken: Readonly<Record<string, string>>
  /** Files that need the table `a` for themselves. */
  readonly locking: Readonly<Record<string, string>>
  /** Another content for one of `files`. */
  readonly changed: Readonly<Record<string, string>>
  /** False for a migrator that is one step and keeps no record. */
  readonly incremental: boolean
}

export function migratorContract(name: string, given: MigratorCase): void {
  describe(`${name} keeps the migrator contract`, () => {
    let server: TestServer
    beforeAll(async () => {
      server = await startTestServer()
    })
    afterAll(() => server.stop())

    test('migrates an empty database and reports each step before it', async () => {
      using project = projectFolder(given.files)
      const migrator = await load(given.definition(project), project.root)
      const target = await server.createDatabase()
      const result = await migrate(migrator, target)
      expect(result.applied).toHaveLength(migrator.count)
      expect(result.steps.map((step) => step.name)).toEqual(result.applied)
      expect(result.steps.map((step) => step.index)).toEqual(result.applied.map((_, i) => i + 1))
      expect(new Set(result.steps.map((step) => step.total))).toEqual(new Set([migrator.count]))
      expect(await rows(target, "select to_regclass('a') is not null and to_regclass('b') is not null as ok")).toEqual([
        { ok: true },
      ])
    })

    test('leaves no session behind, whether it succeeds or fails', async () => {
      using project = projectFolder(given.files)
      const target = await server.createDatabase()
      await migrate(await load(given.definition(project), project.root), target)
      project.write(given.broken)
      await migrate(await load(given.definition(project), project.root), target).catch(() => undefined)
      // A closed connection's backend needs a moment to leave.
      await expect
        .poll(() => rows(server.admin, `select pid from pg_stat_activity where datname = '${target.database}'`))
        .toEqual([])
    })

    // A function runs as one step, so it has no part that ran before.
    const testIncremental = given.incremental ? test : () => undefined

    testIncremental('runs only what has not run yet', async () => {
      using project = projectFolder(given.files)
      const target = await server.createDatabase()
      await migrate(await load(given.definition(project), project.root), target)
      expect(await migrate(await load(given.definition(project), project.root), target)).toEqual({
        applied: [],
        steps: [],
      })
      project.write(given.broken)
      const steps: unknown[] = []
      const again = migrate(await load(given.definition(project), project.root), target, {
        onStep: ({ index, total }) => void steps.push([index, total]),
      })
      await expect(again).rejects.toThrow('nowhere')
      expect(steps).toEqual([[1, 1]])
    })

    test('its hash follows content, not place', async () => {
      using one = projectFolder(given.files)
      using two = projectFolder(given.files)
      const hash = async (project: ProjectFolder) => (await load(given.definition(project), project.root)).hash()
      const first = await hash(one)
      expect(first).toMatch(/^[0-9a-f]{64}$/)
      expect(await hash(two)).toBe(first)
      two.write(given.changed)
      expect(await hash(two)).not.toBe(first)
      two.write(given.files)
      expect(await hash(two)).toBe(first)
    })

    test('names the migration and the SQL error when one fails', async () => {
      using project = projectFolder({ ...given.files, ...given.broken })
      const migrator = await load(given.definition(project), project.root)
      const error = await failureOf(migrate(migrator, await server.createDatabase()))
      expect(error.code).toBe('TESTDB_MIGRATION_FAILED')
      expect(error.message).toContain('relation "nowhere" does not exist')
      expect(error.message).toContain('42P01')
      expect(error.message).toMatch(/line \d+, column \d+: .*nowhere/)
      expect(error.details).toMatchObject({ sqlstate: '42P01', sqlMessage: 'relation "nowhere" does not exist' })
      expect(error.details.migration).toEqual(expect.any(String))
      expect(JSON.parse(JSON.stringify(error.details))).toEqual(error.details)
      expect(error.cause).toBeInstanceOf(Error)
    })

    test('does nothing when the signal is already aborted', async () => {
      using project = projectFolder(given.files)
      const migrator = await load(given.definition(project), project.root)
      const target = await server.createDatabase()
      const reason = new Error('the lead is lost')
      await expect(migrate(migrator, target, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
      expect(await rows(target, "select to_regclass('a') as a")).toEqual([{ a: null }])
    })

    testIncremental('stops before the next step when the signal aborts', async () => {
      using project = projectFolder(given.files)
      const migrator = await load(given.definition(project), project.root)
      const lead = new AbortController()
      const reason = new Error('the lead is lost')
      const seen: string[] = []
      const onStep = ({ name }: { name: string }) => {
        seen.push(name)
        lead.abort(reason)
      }
      await expect(migrate(migrator, await server.createDatabase(), { signal: lead.signal, onStep })).rejects.toBe(
        reason,
      )
      expect(seen).toHaveLength(1)
    })

    test('gives up a table lock after lockTimeoutMs', async () => {
      using project = projectFolder(given.files)
      const target = await server.createDatabase()
      await migrate(await load(given.definition(project), project.root), target)
      project.write(given.locking)
      const migrator = await load(given.definition(project), project.root)
      await withSession(target, { applicationName: 'blocker' }, async (session) => {
        await session.query('begin; lock table a in access exclusive mode')
        const error = await failureOf(migrate(migrator, target, { lockTimeoutMs: 50 }))
        expect(error.details).toMatchObject({ sqlstate: '55P03' })
      })
    })

    test('its bookkeeping tables and its lock table exist after a run', async () => {
      using project = projectFolder(given.files)
      const migrator = await load(given.definition(project), project.root)
      const target = await server.createDatabase()
      await migrate(migrator, target)
      const named = [...migrator.bookkeeping, ...(migrator.lockTable ? [migrator.lockTable] : [])]
      for (const { schema = 'public', table } of named)
        expect(await rows(target, `select to_regclass('"${schema}"."${table}"') is not null as ok`)).toEqual([
          { ok: true },
        ])
    })
  })
}

export async function failureOf(promise: Promise<unknown>): Promise<TestDbError> {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!isTestDbError(error)) throw new Error(`expected a TestDbError, got ${String(error)}`, { cause: error })
  return error
}
