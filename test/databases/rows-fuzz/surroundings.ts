/** What lies around tables: triggers, rules, policies, views, sequences. */
import type { Random } from './random.ts'
import type { Table } from './tables.ts'

export interface Sequence {
  readonly name: string
  readonly options: string
  /** What has happened to it before the template was made. */
  readonly uses: readonly string[]
}

/** With a value that each may be set to. */
const OPTIONS: readonly [options: string, value: number][] = [
  ['', 2],
  ['as smallint', 30_000],
  ['increment by -3', -4],
  ['increment by 5 start 7', 1],
  ['cache 10', 40],
  ['cache 3 increment by -1', -1],
  ['minvalue -2 maxvalue 2 start 0 cycle', -1],
  ['minvalue -2 maxvalue 2 start 0 cycle cache 2', 2],
]

export function someSequences(random: Random): Sequence[] {
  return Array.from({ length: random.below(5) }, (_, place) => {
    const name = `${random.pick(['public', 'app'])}.${random.pick(['"Seq ""', '"s'])}${place}"`
    const [options, value] = random.pick(OPTIONS)
    const use = random.pick([
      [],
      [],
      [`select nextval('${name}')`],
      [`select nextval('${name}'), nextval('${name}')`],
      [`select setval('${name}', ${value}, ${random.chance(0.3)})`],
    ])
    return { name, options, uses: use }
  })
}

const NOTE = `create function public.note() returns trigger language plpgsql as $$
  begin
    insert into public.audit (what) values (tg_op || tg_table_name || tg_when);
    if tg_level = 'ROW' and tg_when = 'BEFORE' then
      if tg_op = 'DELETE' then return old; end if;
      new.n := coalesce(new.n, 0) + 1;
      return new;
    end if;
    return null;
  end $$`

const INSTEAD = `create function public.instead() returns trigger language plpgsql as $$
  begin insert into public.audit (what) values ('instead ' || tg_op); return null; end $$`

export interface Surroundings {
  readonly before: readonly string[]
  readonly after: readonly string[]
  readonly views: readonly string[]
  readonly materialized: readonly string[]
}

export function someSurroundings(random: Random, tables: readonly Table[]): Surroundings {
  const before = [
    NOTE,
    INSTEAD,
    "create function public.doubled(int) returns int language sql immutable as 'select $1 * 2'",
  ]
  const after: string[] = []
  const views: string[] = []
  const materialized: string[] = []
  tables.forEach((table, place) => {
    const { name } = table
    for (const trigger of ['first', 'second']) {
      if (!random.chance(0.2)) continue
      const when = random.pick(['before', 'after', 'after'])
      const level = random.pick(['row', 'statement'])
      before.push(
        `create trigger ${trigger} ${when} ${random.pick(['insert', 'insert or update or delete', 'update of n or delete'])} on ${name} for each ${level} execute function public.note()`,
      )
      // Switched at the end: with it, seeding would be what a user's seed is.
      const how = random.pick(['', '', 'always', 'replica'])
      if (how !== '') after.push(`alter table ${name} enable ${how} trigger ${trigger}`)
      else if (random.chance(0.2)) after.push(`alter table ${name} disable trigger ${trigger}`)
    }
    if (!table.partitioned && random.chance(0.12)) {
      before.push(
        `create rule noted as on ${random.pick(['insert', 'update', 'delete'])} to ${name} do also insert into public.audit (what) values ('rule')`,
      )
      const how = random.pick(['', 'always', 'replica'])
      if (how !== '') after.push(`alter table ${name} enable ${how} rule noted`)
    }
    if (random.chance(0.12)) {
      after.push(`alter table ${name} enable row level security, force row level security`)
      before.push(`create policy seen on ${name} using (n % 2 = 0) with check (true)`)
    }
    if (random.chance(0.2))
      before.push(`create index on ${name} (public.doubled(n)) ${random.chance(0.3) ? 'where n > 3' : ''}`)
    if (!table.partitioned && random.chance(0.2))
      before.push(`create unique index on ${name} (n, id) ${random.chance(0.5) ? 'where part > 1' : ''}`)
    if (random.chance(0.25)) {
      views.push(`public.view${place}`)
      before.push(
        `create view public.view${place} as select id, n, part from ${name} where n < 10000 ${random.pick(['', 'with check option'])}`,
      )
      if (random.chance(0.2))
        before.push(
          `create trigger instead instead of insert or delete on public.view${place} for each row execute function public.instead()`,
        )
    }
    if (random.chance(0.25)) {
      const view = `app.mat${place}`
      materialized.push(view)
      after.push(
        `create materialized view ${view} as select id::text as id, n, part, count(*) as amount from ${name} group by 1, 2, 3 ${random.chance(0.15) ? 'with no data' : ''}`,
      )
      if (random.chance(0.5)) after.push(`create unique index on ${view} (id, n, part)`)
      if (random.chance(0.15)) after.push(`update ${name} set n = n + 1`)
    }
    if (/\bgone\b/.test(table.definition)) after.push(`alter table ${name} drop column gone`)
    if (random.chance(0.1)) after.push(`alter table ${name} add column late text default 'late'`)
  })
  return {
    before,
    // Policies last: they would hide rows from what else is done here.
    after: [...after].sort((a, b) => Number(a.includes('row level')) - Number(b.includes('row level'))),
    views,
    materialized,
  }
}
