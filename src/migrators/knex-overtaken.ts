/**
 * Somebody outside testdb ran the same migration of a shared database at the same time, and was faster. Knex does not keep the two
 * apart: it makes its tables without a lock, outside of a transaction it reads what is applied before it takes the lock, and
 * `knex migrate:unlock` frees a lock that is held. The migration is applied then, and trying again goes on after it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf, TestDbError } from '../errors.ts'
import { publish } from '../events.ts'
import { isSqlState } from '../postgres/index.ts'
import { serverErrorIn } from './failure.ts'
import type { Progress } from './knex-announce.ts'
import type { KnexInstance } from './knex-types.ts'

/** How long the faster one may take from our failure to the record of its own success (ms). */
const RECORDED_WITHIN_MS = 2_000
const POLL_MS = 100

export interface Attempt {
  readonly knex: Pick<KnexInstance, 'migrate'>
  readonly progress: Pick<Progress, 'current' | 'last'>
  readonly database: string
  readonly lockTable: string
}

/** The error that says so, which makes the caller look at the lock and try again; undefined when the migration failed for itself. */
export async function overtaken(attempt: Attempt, error: unknown): Promise<TestDbError | undefined> {
  const { progress, database, lockTable } = attempt
  const name = await whatOthersDid(attempt, error)
  if (name === undefined) return undefined
  const why = messageOf(serverErrorIn(error) ?? error)
  publish('warning.raised', { message: `somebody outside testdb migrates ${database} too and was faster with ${name}` })
  const what = `${name} failed in ${database}, because somebody outside testdb ran it at the same time: ${why}`
  const details = { table: lockTable, migration: progress.current?.name ?? null }
  return new TestDbError('TESTDB_MIGRATION_LOCKED', what, { details, cause: error })
}

async function whatOthersDid({ knex, progress }: Attempt, error: unknown): Promise<string | undefined> {
  const { current, last } = progress
  if (current === undefined) {
    const made = isSqlState(serverErrorIn(error), 'duplicateTable', 'duplicateObject', 'uniqueViolation')
    return last === undefined && made ? "making Knex's own tables" : undefined
  }
  if (current.kind !== 'migration') return undefined
  const deadline = Date.now() + RECORDED_WITHIN_MS
  for (;;) {
    if (await isRecorded(knex, current.name)) return current.name
    if (Date.now() > deadline) return undefined
    await sleep(POLL_MS)
  }
}

/** What stops this question has its own reasons; the migration's error is the one to show then. */
async function isRecorded(knex: Attempt['knex'], name: string): Promise<boolean> {
  try {
    const [completed] = await knex.migrate.list()
    return completed.some((one) => one.name === name)
  } catch {
    return false
  }
}
