/**
 * The registry: schema `testdb` in the maintenance database. It is the truth about templates, databases and runs;
 * whether somebody is alive is never written in it but read from the advisory locks of `liveness.ts`.
 *
 * Created under a transaction-level advisory lock, because many processes may meet an empty server at once.
 * A process that dies here leaves nothing: the transaction is rolled back.
 */
import { TestDbError } from '../errors.ts'
import { publish } from '../events.ts'
import { companionOf, LOCK_SPACE, removeDatabase, removeSchema, type Session } from '../postgres/index.ts'

/** Raise it when the tables below, or what a template contains, change: old ones are then not used but rebuilt. */
export const FORMAT = 5

/** Channels of the triggers below. A payload is a row's id, never a text: payloads over 7,999 bytes abort the transaction. */
export const CHANNEL = {
  templates: 'testdb_templates',
  databases: 'testdb_databases',
  runs: 'testdb_runs',
  schemas: 'testdb_schemas',
} as const

const DDL = `
create schema testdb;
comment on schema testdb is 'Registry of testdb: templates, databases and runs of the test suites that use this server.';

create table testdb.format (version int not null);

create table testdb.templates (
  id           int generated always as identity primary key,
  hash         text not null unique,
  project      text not null,
  summary      text not null,
  -- The sealed database; null where the one shared database itself is migrated.
  name         text,
  state        text not null default 'missing' check (state in ('missing', 'building', 'sealed', 'failed')),
  -- Counts builds; who waits for build n is told of the failure of build n and of no other.
  attempt      int not null default 0,
  staging      text,
  leader_pid   int,
  leader_host  text,
  step         jsonb,
  error        jsonb,
  migrations   int,
  build_ms     int,
  created_at   timestamptz not null default now(),
  last_used    timestamptz not null default now()
);

create table testdb.databases (
  id           int generated always as identity primary key,
  name         text not null unique,
  template_id  int not null references testdb.templates on delete cascade,
  -- spare: not used yet, in the queue of its run. once: leased or used by one file or test, then dropped. ready: leased or idle.
  -- kept: left for people to look at.
  state        text not null default 'creating' check (state in ('creating', 'spare', 'once', 'ready', 'dropping', 'kept')),
  -- The run that created it or used it last; it says whose half-made database this is.
  run_id       int not null,
  -- The worker's number in that run: the same worker gets the same database again if it can.
  slot         text,
  created_at   timestamptz not null default now(),
  last_used    timestamptz not null default now()
);
create index on testdb.databases (template_id, state);

-- With isolation 'schema': what stands in this very database for the databases of workers. Who holds a schema's lock may change it.
create table testdb.schemas (
  id           int generated always as identity primary key,
  name         text not null unique,
  project      text not null,
  -- What it is migrated from; schemas of one hash are alike.
  hash         text not null,
  -- wanted: to be made, or made anew, by the process of its run. making: its migrations run. failed: they could not.
  -- ready: may be taken. held: a worker has it, or had it when it died. dropping: it goes.
  state        text not null check (state in ('wanted', 'making', 'failed', 'ready', 'held', 'dropping')),
  -- False when tests have left something in a ready one, which only their own run takes again.
  clean        bool not null default true,
  -- The run whose workers may take it.
  run_id       int,
  -- The worker's number in that run: the same worker gets the same schema again if it can.
  slot         text,
  -- The backend of a session that waits for just this one.
  request      int,
  error        jsonb,
  created_at   timestamptz not null default now(),
  last_used    timestamptz not null default now()
);
create index on testdb.schemas (run_id, state);
-- Objects that migrations have made outside of their schema, and that are still there.
create table testdb.strays (object oid, hash text, primary key (object, hash));

create sequence testdb.run_ids as int cycle;
create table testdb.runs (
  id           int primary key,
  project      text not null,
  runner       text not null,
  template_id  int references testdb.templates on delete set null,
  pid          int not null,
  host         text not null,
  -- What the run may open in all, its own session included: its part of the server's budget (budget.ts).
  connections  int not null default 1,
  -- The databases it uses at the same time, and the limit of each; null until it has its part.
  slots        int,
  connection_limit int,
  -- Set while it waits for its part: who came first is served first.
  waiting_since timestamptz,
  started_at   timestamptz not null default now()
);

create function testdb.notify_change() returns trigger language plpgsql as $$
begin
  perform pg_notify(tg_argv[0], coalesce(new.id, old.id)::text);
  return null;
end $$;
create trigger notify_state after insert or update of state on testdb.templates
  for each row execute function testdb.notify_change('${CHANNEL.templates}');
create trigger notify_state after insert or update of state on testdb.databases
  for each row execute function testdb.notify_change('${CHANNEL.databases}');
create trigger notify_connections after update of connections or delete on testdb.runs
  for each row execute function testdb.notify_change('${CHANNEL.runs}');
create trigger notify_state after insert or update of state on testdb.schemas
  for each row execute function testdb.notify_change('${CHANNEL.schemas}');

insert into testdb.format values (${FORMAT});
`

/**
 * Creates the registry if it is not there. The normal path is one query and takes no lock.
 * One that an older testdb has made is replaced when none of its runs lives; its databases are of no use any more.
 */
export async function ensureRegistry(session: Session): Promise<void> {
  const format = await readFormat(session)
  if (format === FORMAT) return
  if (format !== undefined) await removeOutdated(session)
  await session.transaction(async () => {
    await session.query('select pg_advisory_xact_lock($1, 1)', [LOCK_SPACE.setup])
    if ((await readFormat(session)) === FORMAT) return
    await session.query(DDL)
  })
}

/** Tells whether the maintenance database has a registry; reading commands must not create one. */
export async function hasRegistry(session: Session): Promise<boolean> {
  // Not to_regclass(): after waiting for the lock it answers from the session's cache, which still says "no such schema".
  const { rows } = await session.query<{ present: boolean }>(
    `select exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                     where n.nspname = 'testdb' and c.relname = 'format') as present`,
  )
  return rows[0]?.present === true
}

async function readFormat(session: Session): Promise<number | undefined> {
  if (!(await hasRegistry(session))) return undefined
  const { rows } = await session.query<{ version: number }>('select version from testdb.format')
  return rows[0]?.version
}

/** Drops what the old registry has recorded, then the registry. If the process dies in between, the next one goes on. */
async function removeOutdated(session: Session): Promise<void> {
  await session.query('select pg_advisory_lock($1, 1)', [LOCK_SPACE.setup])
  try {
    const format = await readFormat(session)
    if (format === undefined || format === FORMAT) return
    const { rowCount: liveRuns } = await session.query(
      `select from pg_locks where locktype = 'advisory' and classid = $1 and objsubid = 2 and granted
          and database = (select oid from pg_database where datname = current_database())`,
      [LOCK_SPACE.run],
    )
    if (format > FORMAT || liveRuns !== 0) throw otherVersion(format)
    const { rows } = await session.query<{ name: string }>(
      `select name from testdb.databases union select name from testdb.templates where name is not null
       union select staging from testdb.templates where staging is not null`,
    )
    for (const { name } of rows) await removeDatabase(session, name)
    const schemas = await removeSchemas(session)
    await session.query('drop schema testdb cascade')
    const what = schemas === 0 ? `${rows.length} databases` : `${rows.length} databases and ${schemas} schemas`
    publish('warning.raised', { message: `the registry of an older testdb and its ${what} were replaced` })
  } finally {
    if (!session.lost.aborted) await session.query('select pg_advisory_unlock($1, 1)', [LOCK_SPACE.setup])
  }
}

/** An older registry may know of none. */
async function removeSchemas(session: Session): Promise<number> {
  const { rows: known } = await session.query<{ there: boolean }>(
    `select exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                     where n.nspname = 'testdb' and c.relname = 'schemas') as there`,
  )
  if (known[0]?.there !== true) return 0
  const { rows } = await session.query<{ name: string }>('select name from testdb.schemas order by id')
  for (const { name } of rows) {
    await removeSchema(session, companionOf(name))
    await removeSchema(session, name)
  }
  return rows.length
}

function otherVersion(format: number): TestDbError {
  const what = `the registry on this server was made by another version of testdb (format ${format}, here ${FORMAT})`
  return new TestDbError('TESTDB_SERVER_UNSUPPORTED', what, {
    fixes: [
      'Use one version of testdb for everybody who shares this server.',
      'Or wait until its runs have ended: a newer testdb then replaces the registry of an older one.',
      'Run `npx testdb status` to see which server this is.',
    ],
  })
}
