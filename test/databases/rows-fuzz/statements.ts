/** Single statements that a test may send; any of them may fail. */
import { condition, insert, merge, remove, truncate, update } from './dml.ts'
import type { Random } from './random.ts'
import type { Schema } from './schema.ts'
import type { Table } from './tables.ts'

function moveSequence(random: Random, sequences: readonly string[]): string {
  if (sequences.length === 0) return 'select 1'
  const name = random.pick(sequences)
  const literal = `'${name}'`
  return random.pick([
    `select nextval(${literal})`,
    `select nextval(${literal}) from generate_series(1, 12)`,
    `select setval(${literal}, ${random.pick([1, 2, 77])}, ${random.chance(0.5)})`,
    `alter sequence ${name} restart`,
    `alter sequence ${name} restart with ${random.pick([1, 2, 50])}`,
    `do $$ begin perform nextval(${literal}); raise exception 'back'; exception when raise_exception then null; end $$`,
  ])
}

function throughView(random: Random, views: readonly string[]): string {
  if (views.length === 0) return 'select 1'
  const view = random.pick(views)
  return random.pick([
    `insert into ${view} (n, part) values (5, 1)`,
    `insert into ${view} (id, n) values (777, 5)`,
    `update ${view} set n = n + 1`,
    `delete from ${view} where n < 4`,
  ])
}

function refresh(random: Random, materialized: readonly string[]): string {
  if (materialized.length === 0) return 'select 1'
  return `refresh materialized view ${random.pick(['', '', 'concurrently '])}${random.pick(materialized)} ${random.chance(0.15) ? 'with no data' : ''}`
}

const largeObject = (random: Random): string =>
  random.pick([
    `select lo_from_bytea(0, 'x')`,
    `select lo_put(4711, 2, 'changed')`,
    'select lo_unlink(4711)',
    'select lo_creat(-1), lo_create(4712)',
  ])

/** What leaves everything as it is, or is refused, or only concerns the server's own files. */
const harmless = (random: Random, { name }: Table): string =>
  random.pick([
    `vacuum ${name}`,
    `analyze ${name}`,
    'select 1 / 0',
    `select count(*) from ${name}`,
    'insert into nowhere values (1)',
    `reindex table ${name}`,
    `do $$ begin delete from ${name}; insert into ${name} (n) values (1); raise exception 'back'; exception when others then null; end $$`,
    'create temp table if not exists mine (id serial primary key, n int)',
    'create table nothing_made (like nowhere)',
    'insert into public.of_admin values (2)',
  ])

export function statement(random: Random, schema: Schema): string {
  // A large table is put back in a way of its own, and there is one of them at most.
  const large = schema.tables.filter((one) => one.rows > 5_000)
  const table = random.pick(large.length > 0 && random.chance(0.25) ? large : schema.tables)
  const other = random.pick(schema.tables)
  const make = random.weighted<() => string>(
    [28, () => insert(random, table)],
    [22, () => update(random, table)],
    [14, () => remove(random, table)],
    [4, () => merge(random, table)],
    [4, () => truncate(random, table, schema.tables)],
    [
      5,
      () =>
        `with gone as (delete from ${table.name} where ${condition(random)} returning n), more as (${insert(random, other)} returning n) select count(*) from gone, more`,
    ],
    [8, () => moveSequence(random, schema.sequences)],
    [4, () => throughView(random, schema.views)],
    [3, () => refresh(random, schema.materialized)],
    [1, () => largeObject(random)],
    [1, () => `copy ${table.name} (n) from program 'echo ${random.below(50)}'`],
    [4, () => harmless(random, table)],
  )
  return make()
}
