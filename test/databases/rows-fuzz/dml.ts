/** Statements that write rows. */
import { binaries } from '../../helpers/packages.ts'
import type { Random } from './random.ts'
import { valuesOf } from './schema.ts'
import type { Table } from './tables.ts'

export const condition = (random: Random): string =>
  random.pick([
    'n % 5 = 2',
    'n < 3',
    'n % 97 = 1',
    'n between 90 and 110',
    `id::text < '3'`,
    'part = 1',
    'n is null',
    'true',
    'false',
    'n > 5990',
  ])

/** The table, or one of those below it, or the table alone. */
const place = (random: Random, table: Table): string =>
  random.weighted(
    [6, table.name],
    [table.below.length, random.pick([table.name, ...table.below])],
    [1, table.partitioned ? table.name : `only ${table.name}`],
  )

const otherKey = ({ keyType }: Table, random: Random): string =>
  keyType === 'uuid'
    ? 'md5(id::text)::uuid'
    : keyType === 'text'
      ? `id || 'x'`
      : random.pick(['id + 100000', '-id', 'id + 1'])

const refTo = (random: Random, { target }: Table): string =>
  random.pick([
    'null',
    target ? `(select id from ${target.name} order by id::text limit 1)` : 'null',
    target ? target.keyOf('g') : 'null',
  ])

function rowsOf(random: Random, table: Table): [names: string, query: string] {
  const columns = random.some(table.columns, 0.6)
  const [names, values] = valuesOf(columns, 'g')
  const own = table.keyDefault ? random.chance(0.2) : random.chance(0.95)
  const refers = table.ref !== undefined && random.chance(0.3)
  const from = random.weighted([1, 1], [1, 95], [5, 10_000 + random.below(1000)])
  const rows = random.weighted([10, random.below(4)], [2, 20], [1, 120])
  const all = [names, own ? 'id' : '', refers ? 'ref' : ''].filter(Boolean).join(', ')
  const what = [values, own ? table.keyOf('g') : '', refers ? refTo(random, table) : ''].filter(Boolean).join(', ')
  const overriding = own && table.key === 'always' ? 'overriding system value' : ''
  return [all, `${overriding} select ${what} from generate_series(${from}, ${from + rows}) g`]
}

export function insert(random: Random, table: Table): string {
  const [names, query] = rowsOf(random, table)
  const key = table.key === 'composite' ? 'part, id' : 'id'
  const conflict = random.weighted(
    [6, ''],
    [1, 'on conflict do nothing'],
    [2, `on conflict (${key}) do update set n = excluded.n + 1`],
  )
  const into = random.chance(0.8) ? table.name : random.pick([table.name, ...table.below])
  return `insert into ${into} (${names}) ${query} ${conflict}`
}

export function update(random: Random, table: Table): string {
  const column = table.columns.length > 0 ? random.pick(table.columns) : undefined
  const change = random.weighted(
    [3, 'n = n + 1'],
    [1, 'n = n'],
    [1, 'part = (part + 1) % 4'],
    [1, `id = ${otherKey(table, random)}`],
    [2, column ? `${column.name} = ${column.value(`abs(coalesce(n, 0)) % 1000 + ${random.below(5)}`)}` : 'n = -n'],
    [1, column ? `${column.name} = default` : 'n = null'],
    [table.ref ? 1 : 0, `ref = ${refTo(random, table).replaceAll('g', 'n')}`],
  )
  return `update ${place(random, table)} set ${change} where ${condition(random)}`
}

export const remove = (random: Random, table: Table): string =>
  `delete from ${place(random, table)} where ${condition(random)}`

export function merge(random: Random, table: Table): string {
  if (binaries.major < 15) return insert(random, table)
  const [names, values] = valuesOf([], 'g')
  return `merge into ${table.name} t using generate_series(1, ${random.between(1, 30)}) g on t.id = ${table.keyOf('g')}
    when matched and g % 3 = 0 then delete when matched then update set n = g + 1 when not matched then insert (id, ${names}) ${table.key === 'always' ? 'overriding system value' : ''} values (${table.keyOf('g')}, ${values})`
}

export function truncate(random: Random, table: Table, tables: readonly Table[]): string {
  const more = random.chance(0.2) ? `, ${random.pick(tables).name}` : ''
  return `truncate ${place(random, table)}${more} ${random.pick(['', 'restart identity'])} ${random.pick(['', 'cascade', 'cascade'])}`
}
