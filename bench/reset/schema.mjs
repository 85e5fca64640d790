// The application of the bench: tables with foreign keys, half of them seeded; and what a test does to it.
import { createRequire } from 'node:module'

const knex = createRequire(import.meta.url)('knex')

/** Rows of a seeded table. */
export const SEEDS = 100
/** Tables that a test writes to, all of them seeded. */
export const DIRTY = 5

export async function migrate(url, tables) {
  const db = knex({ client: 'pg', connection: url, pool: { min: 0, max: 1 } })
  for (let i = 0; i < tables; i++) {
    await db.schema.createTable(`t${i}`, (t) => {
      t.increments()
      t.text('name').index()
      t.timestamp('at').defaultTo(db.fn.now())
      if (i >= DIRTY)
        t.integer('ref')
          .references('id')
          .inTable(`t${i % DIRTY}`)
    })
  }
  await db.raw(seedAll(tables))
  await db.destroy()
}

const seeded = (tables) => Array.from({ length: tables / 2 }, (_, i) => `t${i}`)

/** One text of many statements: rivals do it in one round trip. */
export const seedAll = (tables) =>
  seeded(tables)
    .map((t) => `insert into ${t} (name) select 'seed ' || n from generate_series(1, ${SEEDS}) n`)
    .join('; ')

export const allTables = (tables) => Array.from({ length: tables }, (_, i) => `t${i}`)

/** Adds, changes and removes a row in each of the tables. */
export const test = Array.from(
  { length: DIRTY },
  (_, i) =>
    `insert into t${i} (name) values ('new'); update t${i} set name = 'changed' where id = 7; delete from t${i} where id = 9`,
).join('; ')

/** Adds a row to each of the tables. */
export const addRows = Array.from({ length: DIRTY }, (_, i) => `insert into t${i} (name) values ('new')`).join('; ')
