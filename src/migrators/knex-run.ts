/** One run of Knex against a target: the user's configuration, our connection, each migration announced. */
import { inspect } from 'node:util'
import { isTestDbError, messageOf, TestDbError } from '../errors.ts'
import { publish } from '../events.ts'
import { COMMON_SCHEMA, ident, qualified, Session } from '../postgres/index.ts'
import { failure, serverErrorIn } from './failure.ts'
import { announceMigrations, announceSeeds, type Progress } from './knex-announce.ts'
import { closeKnex, connectionFor, poolFor } from './knex-connection.ts'
import { type Attempt, overtaken } from './knex-overtaken.ts'
import type { KnexProject } from './knex-project.ts'
import type { KnexConfig, KnexInstance, RawConnection } from './knex-types.ts'
import { lockTableName } from './lock-table.ts'
import type { EmulationTarget, MigrationResult, MigrationTarget } from './migrator.ts'
import { createModuleLoader } from './module-loader.ts'
import { MIGRATE_APPLICATION, sessionSettings } from './steps.ts'

export async function runKnex(project: KnexProject, target: MigrationTarget): Promise<MigrationResult> {
  target.signal.throwIfAborted()
  if (target.schema === undefined) await ensureSchema(project.migrations.schemaName, target)
  const progress: Progress = { current: undefined, last: undefined, sqlOf: new WeakMap() }
  const connections = new Set<RawConnection>()
  const { config } = project
  const knex = open(project, target, progress, {
    client: config.client ?? config.dialect ?? 'pg',
    connection: connectionFor(target),
    pool: poolFor(config.pool, target, connections),
  })
  try {
    const [, applied] = await knex.migrate.latest()
    if (project.seeds && target.seeds !== false) {
      target.signal.throwIfAborted()
      await knex.seed.run()
    }
    return { applied }
  } catch (error) {
    throw (await overtakenIn(project, target, { knex, progress }, error)) ?? explain(error, project, target, progress)
  } finally {
    await closeKnex(knex, connections)
  }
}

/** One run of Knex on an emulation, which is empty and has nobody else in it: no lock can be in the way. */
export async function emulateKnex(project: KnexProject, target: EmulationTarget): Promise<MigrationResult> {
  const { config } = project
  const { schemaName, ...migrations } = project.migrations
  if (schemaName) await target.query(`create schema if not exists ${ident(schemaName)}`)
  const progress: Progress = { current: undefined, last: undefined, sqlOf: new WeakMap() }
  const client = target.knexClient(project.package.load(), config.client ?? config.dialect)
  // pg-mem knows the tables of the public schema only when Knex asks whether its own are there.
  const knex = open({ ...project, migrations }, target, progress, {
    client,
    connection: {},
    pool: { ...config.pool, min: 0 },
  })
  try {
    const [, applied] = await knex.migrate.latest()
    if (project.seeds) await knex.seed.run()
    return { applied }
  } catch (error) {
    throw explain(error, project, target, progress)
  } finally {
    await closeKnex(knex, new Set())
  }
}

function open(
  project: KnexProject,
  target: Pick<MigrationTarget, 'signal' | 'onStep' | 'schema'>,
  progress: Progress,
  place: Pick<KnexConfig, 'client' | 'connection' | 'pool'>,
): KnexInstance {
  const loader = createModuleLoader(project.root)
  // Options about files would make Knex throw our source away.
  const { directory: _d, sortDirsSeparately: _s, loadExtensions: _l, ...migrations } = project.migrations
  const { directory: _sd, sortDirsSeparately: _ss, loadExtensions: _sl, ...seeds } = project.seeds ?? {}
  const { connectionPool: _pool, ...config } = project.config
  const seedSource = project.seedSource(loader)
  const complete: KnexConfig = {
    log: quietLog,
    ...config,
    ...place,
    // A path of the knexfile would be said after ours.
    ...(target.schema !== undefined && { searchPath: [target.schema, COMMON_SCHEMA] }),
    asyncStackTraces: false,
    // Else Knex writes bindings over the operators `?` and `?|`: values in the message, and not the statement that was sent.
    compileSqlOnError: false,
    migrations: {
      ...migrations,
      ...(target.schema !== undefined && { schemaName: target.schema }),
      migrationSource: announceMigrations(project, project.migrationSource(loader), target, progress),
    },
    ...(seedSource && { seeds: { ...seeds, seedSource: announceSeeds(project, seedSource, target, progress) } }),
  }
  const knex = project.package.load()(complete)
  knex.on('query-error', (error, query) => {
    if (query.sql !== undefined) progress.sqlOf.set(error, query.sql)
  })
  return knex
}

/** Knex prints to stdout, which reporters own; failures are thrown anyway. */
const quietLog = {
  warn: (message: unknown) => {
    const text = typeof message === 'string' ? message : inspect(message)
    if (!/^(migration file ".*" failed|migration failed with error|Can't take lock|If you are sure migr)/.test(text))
      publish('warning.raised', { message: `knex: ${text}` })
  },
  error: () => undefined,
  deprecate: (message: string) => publish('warning.raised', { message: `knex: ${message}` }),
}

/** Knex expects the schema of its tables to be there. Checked first, because `if not exists` needs the right to create all the same. */
async function ensureSchema(schema: string | undefined | null, target: MigrationTarget): Promise<void> {
  if (schema === undefined || schema === null) return
  const session = await Session.open(target.connection, {
    applicationName: MIGRATE_APPLICATION,
    settings: sessionSettings(target),
  })
  try {
    const { rowCount } = await session.query('select from pg_namespace where nspname = $1', [schema])
    if (rowCount === 0) await session.query(`create schema if not exists ${qualified(undefined, schema)}`)
  } finally {
    await session.close()
  }
}

/** Only a database that others use has a time limit for locks, and only there somebody else may migrate. */
async function overtakenIn(
  { migrations }: KnexProject,
  { connection, lockTimeoutMs, signal }: MigrationTarget,
  attempt: Pick<Attempt, 'knex' | 'progress'>,
  error: unknown,
): Promise<TestDbError | undefined> {
  if (lockTimeoutMs === undefined || signal.aborted) return undefined
  const lockTable = lockTableName(migrations.tableName)
  return overtaken({ ...attempt, database: connection.database, lockTable }, error)
}

function explain(
  thrown: unknown,
  project: KnexProject,
  target: Pick<MigrationTarget, 'signal'> & Partial<Pick<MigrationTarget, 'connection'>>,
  progress: Progress,
): unknown {
  // Knex wraps what a seed throws and keeps the original in a property of its own.
  const error = thrown instanceof Error && 'original' in thrown ? thrown.original : thrown
  if (isTestDbError(error) || (target.signal.aborted && error === target.signal.reason)) return error
  if (error instanceof Error && /npm install pg\b|Cannot find module 'pg'/.test(error.message)) {
    const what = `knex ${project.package.version} can not find its driver pg. Install it: npm i -D pg`
    return new TestDbError('TESTDB_PEER_MISSING', what, {
      details: { package: 'pg', install: 'npm i -D pg' },
      cause: error,
    })
  }
  if (error instanceof Error && error.name === 'MigrationLocked') {
    const table = lockTableName(project.migrations.tableName)
    const what = `Knex could not take the lock in ${table} of ${target.connection?.database ?? 'the database'}: ${error.message}`
    return new TestDbError('TESTDB_MIGRATION_LOCKED', what, { details: { table }, cause: error })
  }
  const step = progress.current
  const server = serverErrorIn(error)
  const sql = server && progress.sqlOf.get(server)
  const after = progress.last === undefined ? 'before the first migration' : `after ${progress.last}`
  return failure({
    code: step?.kind === 'seed' ? 'TESTDB_SEED_FAILED' : 'TESTDB_MIGRATION_FAILED',
    name: step?.name ?? progress.last ?? 'knex',
    ...(step ? {} : { subject: `knex migrate:latest, ${after},` }),
    error,
    sql,
    file: step?.file,
    message: server && withoutSql(messageOf(server), sql),
  })
}

/** Knex puts the statement before the message; before 2.4 with values in the places of operators like `?` and `?|`. */
function withoutSql(message: string, sql: string | undefined): string {
  if (sql === undefined) return message
  if (message.startsWith(`${sql} - `)) return message.slice(sql.length + 3)
  let end = 0
  for (const part of `${sql} - `.split(/\\?\?/)) {
    const start = message.indexOf(part, end)
    if (start < 0) return message
    end = start + part.length
  }
  return message.slice(end)
}
