import { afterEach, beforeEach, expect, test } from 'vitest'
import { leadOrFollow, readTemplate, type TemplateRow } from '../../src/coordination/index.ts'
import { TestDbError } from '../../src/errors.ts'
import type { Migrator } from '../../src/migrators/migrator.ts'
import { ident, removeDatabase, type Session, withSession } from '../../src/postgres/index.ts'
import { buildTemplate } from '../../src/templates/build.ts'
import { cloneTemplate } from '../../src/templates/clone.ts'
import { collect, errorOf, eventually, within } from '../helpers/wait.ts'
import { type TemplateOptions, uniqueHash, World } from '../helpers/world.ts'

let world: World
beforeEach(async () => {
  world = await World.create()
})
afterEach(() => world.close())

interface DatabaseFacts {
  readonly template: boolean
  readonly connectable: boolean
  readonly limit: number
  readonly owner: string
}

async function facts(name: string): Promise<DatabaseFacts | undefined> {
  const { rows } = await world.session.query<DatabaseFacts>(
    `select datistemplate as template, datallowconn as connectable, datconnlimit as limit, datdba::regrole::text as owner
       from pg_database where datname = $1`,
    [name],
  )
  return rows[0]
}

async function clone(template: string): Promise<string> {
  const { rows } = await world.session.query<{ id: number }>(
    `insert into testdb.databases (name, template_id, run_id)
     select 'testdb_${world.project}__clone_' || count(*), (select id from testdb.templates limit 1), 0 from testdb.databases
     returning id, name`,
  )
  const name = (rows[0] as unknown as { name: string }).name
  await cloneTemplate(world.session, {
    template,
    name,
    owner: world.role.user,
    connectionLimit: 9,
  })
  return name
}

const migrator = (migrate: Migrator['migrate']): Migrator => ({
  ...{ name: 'test', summary: 'test', count: 1, bookkeeping: [], hash: async () => '' },
  migrate,
})

test('a template is sealed: nobody can connect to it, and the role of the tests can not change that', async () => {
  using built = collect('template.built')
  const { id, name } = await world.template({
    sql: 'create table t (n int); insert into t values (1)',
    seed: 'insert into t values (2)',
  })
  expect(await facts(name)).toEqual({ template: true, connectable: false, limit: -1, owner: 'postgres' })
  expect(await readTemplate(world.session, id)).toMatchObject({
    ...{ state: 'sealed', attempt: 1, staging: null, step: null, error: null, migrations: 1 },
    buildMs: expect.any(Number),
  })
  expect(built.events).toMatchObject([{ template: name, migrations: 1 }])
  await expect(world.connect(name)).rejects.toMatchObject({ code: '55000' })

  const copy = await clone(name)
  expect(await facts(copy)).toEqual({ template: false, connectable: true, limit: 9, owner: 'testdb' })
  await using session = await world.connect(copy, 'role')
  expect((await session.query('select n, tableowner from t, pg_tables where tablename = $1', ['t'])).rows).toEqual([
    { n: 1, tableowner: 'testdb' },
    { n: 2, tableowner: 'testdb' },
  ])
})

test('a clone has the settings and grants of its template', async () => {
  const settings = [
    `set search_path = app, "Odd, ""name""", public`,
    `set temp_tablespaces = pg_default`,
    `set timezone = 'Europe/Oslo'`,
    `set datestyle = 'German, DMY'`,
    `set work_mem = '5MB'`,
    `set my.setting = 'it''s, "mine" = yes'`,
    `set my.empty = ''`,
    // None of these may bind the statements that copy them.
    `set role = testdb`,
    `set statement_timeout = '1ms'`,
    `set default_transaction_read_only = on`,
  ]
  const reader = `reader_${world.project}`
  await world.session.query(`create role ${reader}`)
  try {
    const { id, name } = await world.template({ sql: 'create schema app' })
    for (const setting of settings) await world.session.query(`alter database ${ident(name)} ${setting}`)
    await world.session.query(`alter role ${reader} in database ${ident(name)} set search_path = 'only'`)
    await world.session.query(`alter role ${reader} in database ${ident(name)} set my.setting = 'reader'`)
    await world.session.query(`revoke connect on database ${ident(name)} from public`)
    await world.session.query(`grant connect on database ${ident(name)} to ${reader} with grant option`)
    await world.session.query(`grant temporary on database ${ident(name)} to ${reader}`)
    const copy = await clone(name)
    const read = async (database: string): Promise<{ acl: string[]; array: string[] }[]> => {
      const { rows } = await world.session.query<{ acl: string[]; array: string[] }>(
        `select array(select acl::text from unnest(datacl) as acl order by 1) as acl, array(select format('%s %s', setrole, unnest(setconfig)) from pg_db_role_setting where setdatabase = oid order by 1)
           from pg_database where datname = $1`,
        [database],
      )
      return rows
    }
    expect(JSON.stringify(await read(name))).toContain('Odd')
    // The template belongs to the admin, the clone to the role: the same rights, given by another owner.
    const [original, given] = [await read(name), await read(copy)]
    expect(given).toEqual([
      {
        acl: ['=T/testdb', 'postgres=CTc/testdb', `${reader}=Tc*/testdb`, 'testdb=CTc/testdb'].sort(),
        array: original[0]?.array,
      },
    ])
    expect(await readTemplate(world.session, id)).toMatchObject({ state: 'sealed' })
  } finally {
    for (const name of await world.databases()) await removeDatabase(world.session, name)
    await world.session.query(`drop role ${reader}`)
  }
})

test('settings that the migrations give the database do not bind what is installed', async () => {
  const sql = `
    do $$ begin
      execute format('alter database %I set default_transaction_read_only = on', current_database());
      execute format('alter database %I set statement_timeout = 1', current_database());
      execute format('alter database %I set search_path = nowhere', current_database());
    end $$;
    create table t (n int); insert into t values (1)`
  const { id } = await world.template({ sql })
  expect(await readTemplate(world.session, id)).toMatchObject({ state: 'sealed' })
})

test('a sealed database that the registry has forgotten is taken as it is', async () => {
  const hash = uniqueHash()
  const { id, name } = await world.template({ hash })
  const { rows: before } = await world.session.query('select oid from pg_database where datname = $1', [name])
  await world.session.query('delete from testdb.templates where id = $1', [id])
  const again = await world.template({ hash, migrator: migrator(() => Promise.reject(new Error('migrated again'))) })
  expect(again.id).not.toBe(id)
  expect(await readTemplate(world.session, again.id)).toMatchObject({ state: 'sealed', attempt: 0 })
  const { rows: after } = await world.session.query('select oid from pg_database where datname = $1', [name])
  expect(after).toEqual(before)
})

test('a database of that name that is not sealed is neither trusted nor dropped', async () => {
  const hash = uniqueHash()
  const { name } = await world.template({ hash, sql: 'create table t (n int)' })
  await world.session.query(`alter database ${ident(name)} with allow_connections true is_template false`)
  await withSession({ ...world.admin, database: name }, { applicationName: 'test' }, (it) =>
    it.query('insert into t values (666)'),
  )
  expect(await readTemplate(world.session, (await world.register(world.session, hash)).id)).toMatchObject({
    state: 'missing',
  })
  const again = await world.template({ hash, sql: 'create table t (n int)' })
  expect(again.name).toMatch(new RegExp(`^${name}_[0-9a-f]{8}$`))
  expect((await world.template({ hash })).name).toBe(again.name)
  const copy = await clone(again.name)
  await using session = await world.connect(copy)
  expect((await session.query('select from t')).rowCount).toBe(0)
  await using theirs = await world.connect(name)
  expect((await theirs.query('select from t')).rowCount).toBe(1)
  await theirs.close()
  await removeDatabase(world.session, name)
})

test('a row that says sealed is not believed when the database is gone', async () => {
  const hash = uniqueHash()
  const { id, name } = await world.template({ hash })
  await world.session.query(`alter database ${ident(name)} is_template false`)
  await world.session.query(`drop database ${ident(name)}`)
  expect(await readTemplate(world.session, id)).toMatchObject({ state: 'missing' })
  await world.template({ hash })
  expect(await readTemplate(world.session, id)).toMatchObject({ state: 'sealed', attempt: 2 })
  expect(await facts(name)).toMatchObject({ template: true })
})

test('extensions are made by the admin, and a missing one is told before anything is made', async () => {
  const { name } = await world.template({
    extensions: ['plpgsql', 'pg_trgm'],
    sql: 'create table t (v text); create index on t using gin (v gin_trgm_ops)',
  })
  const copy = await clone(name)
  await using session = await world.connect(copy)
  expect(
    (await session.query(`select extowner::regrole::text as owner from pg_extension where extname = 'pg_trgm'`)).rows,
  ).toEqual([{ owner: 'postgres' }])

  const hash = uniqueHash()
  const error = await errorOf(world.template({ hash, extensions: ['pg_trgm', 'no_such_thing', 'nor_this'] }))
  expect(error).toMatchObject({ code: 'TESTDB_EXTENSION_MISSING', details: { missing: ['no_such_thing', 'nor_this'] } })
  expect(error.message).toContain('"no_such_thing", "nor_this"')
  expect(await readTemplate(world.session, (await world.register(world.session, hash)).id)).toMatchObject({
    state: 'failed',
    attempt: 0,
    staging: null,
  })
})

test.each<[what: string, options: TemplateOptions, code: string]>([
  ['a migration', { sql: 'create table t (n int); select 1/0' }, 'TESTDB_MIGRATION_FAILED'],
  ['a seed', { seed: 'insert into nowhere values (1)' }, 'TESTDB_TEMPLATE_BUILD_FAILED'],
  ['the installation', { admin: 'create schema testdb' }, 'TESTDB_TEMPLATE_BUILD_FAILED'],
])('%s that fails leaves no database', async (_what, options, code) => {
  const hash = uniqueHash()
  expect((await errorOf(world.template({ hash, ...options }))).code).toBe(code)
  const { id } = await world.register(world.session, hash)
  expect(await readTemplate(world.session, id)).toMatchObject({ state: 'failed', attempt: 1, error: { code } })
  expect(await world.databases()).toEqual([])
  await world.template({ hash })
  expect(await readTemplate(world.session, id)).toMatchObject({ state: 'sealed', attempt: 2, error: null })
})

test('a migration that leaves a connection open is no obstacle', async () => {
  let left: Session | undefined
  await world.template({
    migrator: migrator(async ({ connection }) => {
      left = await world.connect(connection.database)
      return { applied: ['one'] }
    }),
  })
  await eventually('it was ended', () => left?.lost.aborted)
})

test('the leader is lost while it migrates: it stops, and seals nothing', async () => {
  const row = await world.register()
  const session = await world.open()
  let signal: AbortSignal | undefined
  const plan = await world.plan({
    migrator: migrator(async (target) => {
      signal = target.signal
      await world.session.query('select pg_terminate_backend($1)', [session.backendPid])
      // A migration that does not look at the signal, and ends as if nothing had been.
      await eventually('it is told', () => target.signal.aborted)
      return { applied: ['one'] }
    }),
  })
  const election = { session, templateId: row.id, label: 'test', acceptEarlier: true, waitTimeoutMs: 60_000 }
  const error = await errorOf(leadOrFollow({ ...election, lead: (found) => buildTemplate(session, found, plan) }))
  expect(error.code).toBe('TESTDB_LEADERSHIP_LOST')
  expect(signal?.aborted).toBe(true)
  const after = await readTemplate(world.session, row.id)
  expect(after).toMatchObject({ state: 'building', staging: expect.stringMatching(/^testdb_s_/) })
  expect(await facts(row.name ?? '')).toBeUndefined()

  await world.template({ hash: row.hash })
  expect(await readTemplate(world.session, row.id)).toMatchObject({ state: 'sealed', attempt: 2 })
  expect(await facts(after?.staging ?? '')).toBeUndefined()
})

test('two templates are built at once', async () => {
  const runs = [await world.run(), await world.run()]
  const inside = new Set<number>()
  const both = runs.map((run, i) =>
    world.template(
      {
        migrator: migrator(async () => {
          inside.add(i)
          // Ends only when the other one builds as well.
          await eventually('both build', () => inside.size === 2)
          return { applied: ['one'] }
        }),
      },
      run,
    ),
  )
  const [one, two] = await within('both are built', Promise.all(both))
  expect(await world.databases()).toEqual([one?.name, two?.name].sort())
  for (const run of runs) await run.end()
})

test('two registries on one server build the same content at once, and do not touch each other', async () => {
  await using other = await World.create()
  const hash = uniqueHash()
  const inside = new Set<World>()
  const build = (place: World): Promise<unknown> =>
    place.template({
      hash,
      migrator: migrator(async ({ connection }) => {
        inside.add(place)
        await eventually('both build', () => inside.size === 2)
        await withSession(connection, { applicationName: 'test' }, (session) => session.query('create table t (n int)'))
        return { applied: ['one'] }
      }),
    })
  await within('both are built', Promise.all([build(world), build(other)]))
  for (const place of [world, other]) {
    const { id } = await place.register(place.session, hash)
    expect(await readTemplate(place.session, id)).toMatchObject({ state: 'sealed' })
  }
})

test('the step that takes long is the one that is shown', async () => {
  const row = await world.register()
  const names = ['001', '002', '003', '004', '005']
  await world.template({
    hash: row.hash,
    migrator: migrator(async ({ onStep }) => {
      names.forEach((name, i) => void onStep({ name, index: i + 1, total: 5 }))
      await eventually('the last step is written', async () => (await read())?.step?.name === '005', 5_000)
      return { applied: names }
    }),
  })
  async function read(): Promise<TemplateRow | undefined> {
    await using session = await world.open()
    return await readTemplate(session, row.id)
  }
  expect((await read())?.step).toBeNull()
})

test('an error of the migrator is passed on with its details', async () => {
  const failure = new TestDbError('TESTDB_MIGRATION_FAILED', 'migration x failed', { details: { migration: 'x' } })
  const error = await errorOf(world.template({ migrator: migrator(() => Promise.reject(failure)) }))
  expect(error).toBe(failure)
})
