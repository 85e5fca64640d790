/**
 * `rows`: puts back the rows that differ, in the tables that were written to, and nothing else.
 *
 * Triggers in the template note each written table; one call compares those tables with copies that the template carries.
 * The cost follows what a test did: tables that it did not touch cost nothing, so a large schema is as fast as a small one.
 * How it works and what it can not see: docs/design/reset.md.
 *
 * What if the process dies here? The reset is one transaction: either the database is back, or the notes are still there.
 */
import { withoutLateWork } from '../late-work.ts'
import type { ResetStrategy, Resettable, TableChanges } from '../strategy.ts'
import { CHANGES } from './changes-sql.ts'
import { CHECKPOINTS } from './checkpoint-sql.ts'
import { parseExactly } from './exact-json.ts'
import { REMEMBER } from './remember-sql.ts'
import { RESET } from './reset-sql.ts'
import { CATALOG_BY_NOTES, INSTALL_TRACKER, TRACKER } from './tracker-sql.ts'

/** How long the comparison for a report may take (ms). */
const CHANGES_MS = 2_000

/** How often work is undone that waited for the reset before it: a client that never ends to write must not hold up the next test. */
const ROUNDS = 5

interface Outcome {
  readonly schema_changes: string | null
  readonly vacuum: string[] | null
  /** Somebody writes as soon as the reset is over. */
  readonly waiting: boolean
}

const STATEMENT = 'select * from testdb.reset()'

async function ask(database: Resettable, after: string | undefined): Promise<Outcome | undefined> {
  const { rows } = await withoutLateWork(database, after, () => database.session.query<Outcome>(STATEMENT))
  return rows[0]
}

export const rowsReset: ResetStrategy = {
  name: 'rows',
  sql: TRACKER + REMEMBER + RESET + CHECKPOINTS + CHANGES + CATALOG_BY_NOTES,
  leavesClean: true,
  untouched: 'not exists (select from testdb.dirty) and not exists (select from testdb.ddl)',

  writtenTables: 'select distinct rel::regclass::text as "table" from testdb.dirty order by 1',

  async install(session) {
    await session.query(INSTALL_TRACKER)
  },

  async recover(session) {
    await session.query('select testdb.recover()')
  },

  statement: STATEMENT,

  async reset(database, { after, begun }) {
    const grown = new Set<string>()
    let schemaChanges: string | null | undefined
    for (let round = 1; round <= ROUNDS; round++) {
      const outcome = round === 1 && begun ? (begun.outcome as Outcome) : await ask(database, after)
      for (const table of outcome?.vacuum ?? []) grown.add(table)
      schemaChanges = outcome?.schema_changes
      // Its lock comes before ours now: the next round waits for it.
      if (!outcome?.waiting) break
    }
    // Rows that a reset removed leave holes; without this the ten-thousandth reset would take many times the first.
    for (const table of grown) await database.session.query(`vacuum ${table}`)
    if (grown.size > 0) await database.session.query('select testdb.as_never_vacuumed()')
    if (schemaChanges) await database.outdate(schemaChanges, after)
  },

  async changes(session, cap) {
    return await session.transaction(async () => {
      // A large table may take long to compare; a report of a failure is not worth more.
      await session.query(`set local statement_timeout = ${CHANGES_MS}`)
      const { rows } = await session.query<Omit<TableChanges, 'rows'> & { rows: string }>(
        `select "table", added::int, removed::int, changed::int, rows::text from testdb.changes($1) where added + removed + changed > 0`,
        [cap],
      )
      return rows.map((one) => ({ ...one, rows: parseExactly(one.rows) as TableChanges['rows'] }))
    })
  },

  checkpoints: {
    async push(database, after) {
      const { rows } = await withoutLateWork(database, after, () =>
        database.session.query<{ level: number | null }>('select testdb.push_checkpoint() as level'),
      )
      return rows[0]?.level ?? null
    },
    async pop(database, level, after) {
      await withoutLateWork(database, after, () => database.session.query('select testdb.pop_checkpoints($1)', [level]))
    },
  },
}
