/** Random schemas: tables of every kind, what lies around them, and the rows they begin with. */
import { type Column, USER_TYPES } from './columns.ts'
import type { Random } from './random.ts'
import { someSequences, someSurroundings } from './surroundings.ts'
import { someTable, type Table, tableSql } from './tables.ts'

export interface Schema {
  readonly sql: string
  readonly seed: string
  /** What the admin adds. */
  readonly admin: string
  readonly tables: readonly Table[]
  readonly sequences: readonly string[]
  readonly views: readonly string[]
  readonly materialized: readonly string[]
}

export const PLACES = ['public', 'app', '"Odd ""S"" %"'] as const

export function someSchema(random: Random): Schema {
  const tables: Table[] = []
  const amount = random.between(4, 9)
  const large = random.chance(0.25) ? random.below(amount) : -1
  for (let place = 0; place < amount; place++) {
    const rows = place === large ? 6_000 : random.pick([0, 0, 1, 3, 7, 20, 20, 99, 100, 101, 150, 400])
    tables.push(someTable(random, place, random.pick(PLACES), rows, place === large))
  }
  const keys = tables.flatMap((from) => someKeys(random, from, tables))
  const sequences = someSequences(random)
  const around = someSurroundings(random, tables)
  const sql = [
    USER_TYPES,
    'create schema app; create schema "Odd ""S"" %"',
    // What triggers and rules write to.
    'create table public.audit (id serial primary key, what text)',
    ...tables.map(tableSql),
    ...sequences.map((one) => `create sequence ${one.name} ${one.options}`),
    ...keys,
    ...around.before,
  ]
  const seed = [
    ...tables.map(seedOf),
    ...tables.flatMap((table) => refsOf(random, table)),
    ...sequences.flatMap((one) => one.uses),
    // Foreign keys have something to check until then, and a table can not be altered.
    'commit',
    ...around.after,
    'select 1',
  ]
  return {
    sql: sql.join(';\n'),
    seed: seed.join(';\n'),
    admin: [
      'create table public.of_admin (n int)',
      'insert into public.of_admin values (1)',
      'grant all on public.of_admin to public',
      // Also the triggers of foreign keys, so that only a superuser may.
      ...random.some(tables, 0.04).map(
        ({
          name,
        }) => `do $$ declare r record; begin for r in select tgname from pg_trigger where tgrelid = '${name.replaceAll("'", "''")}'::regclass
          loop execute format('alter table ${name.replaceAll('%', '%%')} enable always trigger %I', r.tgname); end loop; end $$`,
      ),
      ...(random.chance(0.1) ? [`select lo_from_bytea(4711, 'of the template')`] : []),
    ].join(';\n'),
    tables,
    sequences: [...sequences.map((one) => one.name), ...tables.flatMap((table) => table.sequence ?? [])],
    views: around.views,
    materialized: around.materialized,
  }
}

const ACTIONS = ['cascade', 'set null', 'set default', 'restrict', 'no action']

/** Foreign keys to any table, itself too, so that there are cycles. */
function someKeys(random: Random, from: Table, tables: readonly Table[]): string[] {
  const targets = from.ref === undefined ? [] : tables.filter((to) => canRefer(from, to))
  if (targets.length === 0) return []
  const to = random.pick(targets)
  from.target = to
  const columns = to.key === 'composite' ? '(part, ref)' : '(ref)'
  const when = random.pick(['', '', 'deferrable', 'deferrable initially deferred'])
  return [
    `alter table ${from.name} add foreign key ${columns} references ${to.name} ${to.key === 'composite' ? '(part, id)' : '(id)'}
       on delete ${random.pick(ACTIONS)} on update ${random.pick(ACTIONS)} ${when}`,
  ]
}

const canRefer = (from: Table, to: Table): boolean =>
  to.keyType === from.ref && (from.unlogged || !to.unlogged) && !['none', 'deferred'].includes(to.key)

/** What an insert names, with the values for row `n`. */
export const valuesOf = (columns: readonly Column[], n: string): [names: string, values: string] => [
  ['n', 'part', ...columns.map((column) => column.name)].join(', '),
  [n, `(${n}) % 4`, ...columns.map((column) => column.value(n))].join(', '),
]

function seedOf(table: Table): string {
  if (table.rows === 0) return 'select 1'
  const [names, values] = valuesOf(table.columns, 'g')
  const id = table.keyDefault ? ['', ''] : ['id, ', `${table.keyOf('g')}, `]
  return `insert into ${table.name} (${id[0]}${names}) select ${id[1]}${values} from generate_series(1, ${table.rows}) g`
}

function refsOf(random: Random, { name, target, rows }: Table): string[] {
  if (!target || target.rows === 0 || rows === 0 || target.key === 'composite') return []
  // A subquery: triggers may have kept rows out.
  return [
    `update ${name} set ref = (select id from ${target.name} where id = ${target.keyOf(`(${name}.n % ${target.rows} + 1)`)} limit 1) where n % ${random.between(1, 3)} = 0`,
  ]
}
