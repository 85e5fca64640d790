/** What a simulated test does on its connections, and how it ends. */
import { altering, making } from './ddl.ts'
import { insert, remove, update } from './dml.ts'
import type { Random } from './random.ts'
import type { Schema } from './schema.ts'
import { statement } from './statements.ts'

/** 0 is a superuser's connection, the others are the plain role's. */
export const CONNECTIONS = 3

export type Step =
  | { readonly do: 'run'; readonly on: number; readonly sql: string }
  /** The statement is sent and not awaited; the next step begins when it is at work. */
  | { readonly do: 'late'; readonly on: number; readonly sql: string }
  /** The server ends the connection. */
  | { readonly do: 'kill'; readonly on: number }
  /** The test ends with a transaction open on it. */
  | { readonly do: 'leave'; readonly on: number; readonly writes: boolean }
  | { readonly do: 'close' }
  | { readonly do: 'checkpoint' }
  | { readonly do: 'reset' }
  | { readonly do: 'rewind'; readonly by: number }

export type Kind = 'rows' | 'makes' | 'alters' | 'levels' | 'killed' | 'late' | 'open' | 'reads'

export interface Workload {
  readonly kind: Kind
  readonly steps: readonly Step[]
}

export function someWorkload(random: Random, schema: Schema): Workload {
  const kind = random.weighted<Kind>(
    [72, 'rows'],
    [10, 'makes'],
    [1.5, 'alters'],
    [6, 'levels'],
    [3, 'killed'],
    [3, 'late'],
    [0.5, 'open'],
    [2, 'reads'],
  )
  const on = random.below(CONNECTIONS)
  const steps = some(random, schema, kind === 'levels' ? 2 : 5)
  const run = (sql: string): Step => ({ do: 'run', on, sql })
  if (kind === 'makes') steps.push(...making(random, schema).map(run), ...some(random, schema, 2))
  if (kind === 'alters')
    steps.push({ do: 'run', on: 0, sql: altering(random, schema) }, ...some(random, schema, 2), { do: 'close' })
  if (kind === 'levels') steps.push(...levels(random, schema))
  if (kind === 'killed')
    steps.push(run('begin'), run(statement(random, schema)), run(statement(random, schema)), { do: 'kill', on })
  if (kind === 'late')
    steps.push(
      { do: 'late', on, sql: slow(random, schema, random.chance(0.1) ? 5 : 0.01) },
      ...(random.chance(0.3) ? [{ do: 'kill', on } as const] : []),
    )
  if (kind === 'open') {
    const sql = random.pick([insert, update, remove])(random, random.pick(schema.tables))
    steps.push(run('begin'), run(sql), { do: 'leave', on, writes: true })
  }
  if (kind === 'reads') {
    steps.push(
      run(`begin isolation level repeatable read`),
      run(`select count(*) from ${random.pick(schema.tables).name}`),
      { do: 'leave', on, writes: false },
    )
  }
  return { kind, steps }
}

/** Statements by themselves and in transactions. */
function some(random: Random, schema: Schema, most: number): Step[] {
  const steps: Step[] = []
  for (let left = random.between(1, most); left > 0; left--) {
    const on = random.below(CONNECTIONS)
    const run = (sql: string): number => steps.push({ do: 'run', on, sql })
    if (random.chance(0.7)) {
      run(statement(random, schema))
      continue
    }
    // A mode for a superuser's own work, as tools that load data use it.
    const replica = on === 0 && random.chance(0.2)
    run(random.pick(['begin', 'begin', 'begin isolation level serializable']))
    if (replica) run('set local session_replication_role = replica')
    for (let more = random.between(1, 3); more > 0; more--) {
      const nested = random.chance(0.3)
      if (nested) run('savepoint one')
      run(statement(random, schema))
      if (nested) run(random.pick(['rollback to one', 'rollback to one', 'release one']))
      if (random.chance(0.1)) steps.push({ do: 'run', on: (on + 1) % CONNECTIONS, sql: statement(random, schema) })
    }
    run(random.pick(['commit', 'commit', 'rollback']))
  }
  return steps
}

function levels(random: Random, schema: Schema): Step[] {
  const steps: Step[] = []
  for (let depth = random.between(1, 3); depth > 0; depth--) {
    const table = random.pick(schema.tables)
    // More rows than are compared, so that their keys are tracked from here on.
    if (random.chance(0.04))
      steps.push({
        do: 'run',
        on: 0,
        sql: `insert into ${table.name} (${table.keyDefault ? '' : 'id, '}n) select ${table.keyDefault ? '' : `${table.keyOf('g')}, `}g from generate_series(20001, 25100) g`,
      })
    if (random.chance(0.3)) for (const sql of making(random, schema)) steps.push({ do: 'run', on: 0, sql })
    steps.push({ do: 'checkpoint' }, ...some(random, schema, 2))
    if (random.chance(0.5)) steps.push({ do: 'reset' }, ...some(random, schema, 2))
    if (random.chance(0.3)) steps.push({ do: 'rewind', by: random.between(1, 2) }, ...some(random, schema, 2))
  }
  return steps
}

/** Work that the test did not wait for. */
function slow(random: Random, schema: Schema, seconds: number): string {
  const { name } = random.pick(schema.tables)
  return random.pick([
    `update ${name} set n = n + 1 from (select pg_sleep(${seconds})) s`,
    `do $$ begin insert into public.audit (what) values ('late'); perform pg_sleep(${seconds}); delete from ${name}; end $$`,
    `with slow as (insert into public.audit (what) select 'late' || pg_sleep(${seconds}) returning 1) insert into ${name} (n) select 1 from slow`,
  ])
}
