/** Runs SQL files against a target and remembers each with the checksum of its content. */
import { createHash } from 'node:crypto'
import { ident, qualified, type Session, withSession } from '../postgres/index.ts'
import { failure } from './failure.ts'
import type { EmulationTarget, MigrationResult, MigrationTarget } from './migrator.ts'
import { MIGRATE_APPLICATION, runStep, sessionSettings } from './steps.ts'

export interface SqlFile {
  /** File name: what is remembered. */
  readonly name: string
  /** For people, relative to the project. */
  readonly path: string
  readonly sql: string
}

interface Table {
  readonly schema: string
  readonly table: string
}

const NO_TRANSACTION = /^\uFEFF?--\s*testdb:\s*no transaction\s*$/i

export async function runSqlFiles(
  files: readonly SqlFile[],
  table: Table,
  target: MigrationTarget,
): Promise<MigrationResult> {
  target.signal.throwIfAborted()
  const options = { applicationName: MIGRATE_APPLICATION, settings: sessionSettings(target) }
  return withSession(target.connection, options, async (session) => {
    await ensureTable(session, table)
    const pending = await pendingFiles(session, files, table)
    const settings = await rememberSettings(session)
    for (const [i, file] of pending.entries()) {
      await runStep(target, { name: file.name, index: i + 1, total: pending.length }, () =>
        runFile(session, file, table, settings),
      )
    }
    return { applied: pending.map((file) => file.name) }
  })
}

/** On an emulation, which starts empty and goes with its process: there is nothing to remember. */
export async function emulateSqlFiles(files: readonly SqlFile[], target: EmulationTarget): Promise<MigrationResult> {
  for (const [i, { name, path, sql }] of files.entries()) {
    await runStep(target, { name, index: i + 1, total: files.length }, () =>
      target.query(sql.replace(/^\uFEFF/, '')).catch((error: unknown) => {
        throw failure({ code: 'TESTDB_MIGRATION_FAILED', name, error, sql, file: path })
      }),
    )
  }
  return { applied: files.map(({ name }) => name) }
}

async function runFile(session: Session, file: SqlFile, table: Table, settings: Settings): Promise<void> {
  const record = async (): Promise<void> => {
    await settings.restore()
    const sql = `insert into ${qualified(table.schema, table.table)} (name, checksum) values ($1, $2)`
    await session.query(sql, [file.name, checksum(file)])
  }
  const run = (): Promise<unknown> =>
    session.query(file.sql.replace(/^\uFEFF/, '')).catch((error: unknown) => {
      throw failure({ code: 'TESTDB_MIGRATION_FAILED', name: file.name, error, sql: file.sql, file: file.path })
    })
  if (NO_TRANSACTION.test(file.sql.split(/\r?\n/, 1)[0] ?? '')) {
    await run()
    await record()
    return
  }
  try {
    await session.transaction(async () => {
      await run()
      await record()
    })
  } catch (error) {
    // Deferred constraints are checked by COMMIT, which has no position in the file.
    if (error instanceof Error && error.name === 'TestDbError') throw error
    throw failure({ code: 'TESTDB_MIGRATION_FAILED', name: file.name, error, file: file.path })
  }
}

async function ensureTable(session: Session, { schema, table }: Table): Promise<void> {
  const { rowCount } = await session.query('select from pg_namespace where nspname = $1', [schema])
  if (rowCount === 0) await session.query(`create schema if not exists ${ident(schema)}`)
  await session.query(
    `create table if not exists ${qualified(schema, table)}
       (name text primary key, checksum text not null, applied_at timestamptz not null default now())`,
  )
}

async function pendingFiles(session: Session, files: readonly SqlFile[], table: Table): Promise<SqlFile[]> {
  const { rows } = await session.query<{ name: string; checksum: string }>(
    `select name, checksum from ${qualified(table.schema, table.table)}`,
  )
  const applied = new Map(rows.map((row) => [row.name, row.checksum]))
  return files.filter((file) => {
    const known = applied.get(file.name)
    if (known === undefined) return true
    if (known === checksum(file)) return false
    const error = new Error('it was changed after it had run on this database; add a new file instead')
    throw failure({ code: 'TESTDB_MIGRATION_FAILED', name: file.name, error, file: file.path })
  })
}

/** The same on every operating system, whatever git makes of line ends. */
function checksum(file: SqlFile): string {
  return createHash('sha256').update(file.sql.replaceAll('\r\n', '\n')).digest('hex')
}

interface Settings {
  restore(): Promise<void>
}

/** Dumps set search_path and more for their session (`set_config(…, false)`), which must not reach the next file. */
async function rememberSettings(session: Session): Promise<Settings> {
  const { rows } = await session.query<{ name: string; value: string }>(
    "select name, current_setting(name) as value from pg_settings where source = 'session'",
  )
  return {
    async restore() {
      await session.query('reset session authorization; reset all')
      for (const { name, value } of rows) await session.query('select set_config($1, $2, false)', [name, value])
    },
  }
}
