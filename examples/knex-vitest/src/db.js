import knex from 'knex'
import pg from 'pg'

const { INT8, DATE } = pg.types.builtins

// bigint as a number (our amounts stay far below 2^53), a date as the 'YYYY-MM-DD' it is.
const parsers = new Map([
  [INT8, Number],
  [DATE, (text) => text],
])

const types = {
  getTypeParser: (oid, format) => parsers.get(oid) ?? pg.types.getTypeParser(oid, format),
}

/** The application's pool. Nothing here knows about tests: they only set DATABASE_URL. */
export function createDb(connectionString = process.env.DATABASE_URL) {
  return knex({
    client: 'pg',
    connection: { connectionString, types },
    pool: { min: 0, max: Number(process.env.DATABASE_POOL_MAX ?? 5) },
    acquireConnectionTimeout: 5_000,
  })
}
