import type { Knex } from 'knex'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { subscribe } from '../../src/events.ts'
import { knexMigrator } from '../../src/migrators/index.ts'
import { withSession } from '../../src/postgres/index.ts'
import { load, migrate, rows } from '../helpers/migrate.ts'
import { fromPackages } from '../helpers/packages.ts'
import { startTestServer, type TestServer } from '../helpers/plain-postgres.ts'
import { projectFolder } from '../helpers/project-folder.ts'
import { failureOf } from './migrator-contract.ts'

let server: TestServer
beforeAll(async () => {
  server = await startTestServer()
})
afterAll(() => server.stop())

const cjs = (table: string): string =>
  `exports.up = (knex) => knex.schema.createTable('${table}', (t) => t.increments())\nexports.down = (knex) => knex.schema.dropTable('${table}')\n`
const esm = cjs('TABLE').replaceAll('exports.', 'export const ')
const ts = (table: string): string =>
  `import { Knex } from 'knex'\nenum Name { table = '${table}' }\nexport async function up(knex: Knex): Promise<void> { await knex.schema.createTable(Name.table, (t) => { t.increments() }) }\nexport async function down(): Promise<void> {}\n`
const names = (target: Parameters<typeof rows>[0], table = 'knex_migrations') =>
  rows<{ name: string }>(target, `select name from ${table} order by id`).then((all) => all.map((row) => row.name))

describe('knexfiles', () => {
  const config = `{ client: 'pg', connection: 'postgres://nobody:secret@127.0.0.1:1/nowhere', migrations: { directory: './db' } }`
  test.each([
    ['knexfile.js', `module.exports = ${config}`],
    ['knexfile.js', `module.exports = { production: {}, test: ${config} }`],
    ['knexfile.js', `module.exports = { production: {}, development: ${config} }`],
    ['knexfile.cjs', `module.exports = async () => ({ test: ${config} })`],
    ['knexfile.mjs', `export default Promise.resolve(${config})`],
    ['knexfile.mjs', `export const test = ${config}`],
    [
      'knexfile.ts',
      `import type { Knex } from 'knex'\nconst all: { [key: string]: Knex.Config } = { test: ${config} }\nexport default all`,
    ],
    ['knexfile.ts', `import type { Knex } from 'knex'\nconst one: Knex.Config = ${config}\nmodule.exports = one`],
    ['knexfile.cts', `const one: object = ${config}\nexport = one`],
    ['knexfile.mts', `export default (): object => (${config})`],
  ])('%s: %s', async (file, content) => {
    using project = projectFolder({ [file]: content, 'db/001_t.js': cjs('t') })
    const migrator = await load(knexMigrator(), project.root)
    const target = await server.createDatabase()
    expect((await migrate(migrator, target)).applied).toEqual(['001_t.js'])
    expect(migrator.summary).toContain(file)
  })

  test('folders are relative to the knexfile, wherever it lies', async () => {
    using project = projectFolder({
      'packages/db/knexfile.js': `module.exports = { client: 'postgresql', migrations: { directory: ['./one', 'two'] }, seeds: { directory: './seeds' } }`,
      'packages/db/one/2.js': cjs('two'),
      'packages/db/two/1.js': cjs('one'),
      'packages/db/seeds/s.js': `exports.seed = (knex) => knex('one').insert({ id: 5 })`,
    })
    const migrator = await load(knexMigrator({ knexfile: 'packages/db/knexfile.js' }), project.root)
    const target = await server.createDatabase()
    expect((await migrate(migrator, target)).applied).toEqual(['1.js', '2.js'])
    expect(await rows(target, 'select id from one')).toEqual([{ id: 5 }])
  })

  test('another database, a missing environment and a broken file are named', async () => {
    using project = projectFolder({ 'knexfile.js': `module.exports = { client: 'mysql2' }` })
    await expect(load(knexMigrator(), project.root)).rejects.toMatchObject({ code: 'TESTDB_CONFIG_INVALID' })
    await expect(load(knexMigrator(), project.root)).rejects.toThrow("knexfile.js: client is 'mysql2'")
    project.write({ 'knexfile.js': `module.exports = { staging: { client: 'pg' } }` })
    await expect(load(knexMigrator(), project.root)).rejects.toThrow("'test', 'testing', 'development'; it has staging")
    await expect(load(knexMigrator({ environment: 'ci' }), project.root)).rejects.toThrow("'ci'; it has staging")
    project.write({ 'knexfile.js': `throw new Error('no such variable')` })
    await expect(load(knexMigrator(), project.root)).rejects.toMatchObject({ code: 'TESTDB_CONFIG_LOAD_FAILED' })
    await expect(load(knexMigrator({ knexfile: 'other.js' }), project.root)).rejects.toThrow('other.js does not exist')
  })
})

describe('migration files', () => {
  test('every module format, under the names that Knex records', async () => {
    using project = projectFolder({
      'migrations/1.js': cjs('t1'),
      'migrations/2.cjs': cjs('t2'),
      'migrations/3.ts': ts('t3'),
      'migrations/4.mjs': esm.replaceAll('TABLE', 't4'),
      'migrations/5.mts': ts('t5'),
      'migrations/6.cts': ts('t6'),
      'migrations/7.d.ts': 'export declare const up: number',
    })
    const loadExtensions = ['.js', '.cjs', '.ts', '.mjs', '.mts', '.cts']
    const migrator = await load(knexMigrator({ loadExtensions }), project.root)
    const target = await server.createDatabase()
    await migrate(migrator, target)
    expect(await names(target)).toEqual(['1.js', '2.cjs', '3.ts', '4.mjs', '5.mts', '6.cts'])
  })

  test('what Knex ignores is ignored', async () => {
    using project = projectFolder({ 'migrations/1.js': cjs('t1'), 'migrations/2.mjs': esm, 'migrations/readme.md': '' })
    expect((await load(knexMigrator(), project.root)).count).toBe(1)
  })

  test('ES modules with the extension .js', async () => {
    using project = projectFolder({
      'package.json': '{"type":"module"}',
      'migrations/1.js': `import { name } from './lib/name.js'\nexport const up = (knex) => knex.schema.createTable(name, (t) => t.increments())\nexport const down = () => {}\n`,
      'migrations/lib/name.js': `export const name = 'first'`,
    })
    const target = await server.createDatabase()
    await migrate(await load(knexMigrator(), project.root), target)
    expect(await rows(target, `select to_regclass('first') is not null as ok`)).toEqual([{ ok: true }])
  })

  test('agrees with the real Knex about names and order', async () => {
    using project = projectFolder({
      'knexfile.js': `module.exports = { client: 'pg', migrations: { directory: ['./b', './a'], sortDirsSeparately: true } }`,
      'a/10.js': cjs('t10'),
      'a/9.js': cjs('t9'),
      'b/Z.js': cjs('tz'),
      'b/a.js': cjs('ta'),
    })
    const target = await server.createDatabase()
    await migrate(await load(knexMigrator(), project.root), target)
    expect(await names(target)).toEqual(['Z.js', 'a.js', '10.js', '9.js'])
    const makeKnex = fromPackages('knex') as (config: Knex.Config) => Knex
    const knex = makeKnex({
      client: 'pg',
      connection: { host: target.host, port: target.port, user: target.user, database: target.database },
      migrations: { directory: [`${project.root}/b`, `${project.root}/a`], sortDirsSeparately: true },
    })
    try {
      // Knex itself finds nothing left to do and no file missing.
      expect((await knex.migrate.latest())[1]).toEqual([])
    } finally {
      await knex.destroy()
    }
  })

  test('a changed migration, and a changed helper of it, are seen by the next run in the same process', async () => {
    for (const [name, helper, type] of [
      ['1.js', 'helper.js', 'commonjs'],
      ['1.ts', 'helper.ts', 'commonjs'],
      ['1.js', 'helper.js', 'module'],
    ] as const) {
      using folder = projectFolder({ 'package.json': JSON.stringify({ type }) })
      const isCommonJs = name === '1.js' && type === 'commonjs'
      const files = (table: string) => ({
        [`lib/${helper}`]: isCommonJs ? `exports.table = '${table}'` : `export const table = '${table}'`,
        [`migrations/${name}`]: isCommonJs
          ? `const { table } = require('../lib/helper.js')\nexports.up = (knex) => knex.schema.createTable(table, (t) => t.increments())\nexports.down = () => {}`
          : `import { table } from '../lib/${helper}'\nexport const up = (knex) => knex.schema.createTable(table, (t) => t.increments())\nexport const down = () => {}`,
      })
      for (const table of ['one', 'two', 'three']) {
        folder.write(files(table))
        const target = await server.createDatabase()
        await migrate(await load(knexMigrator(), folder.root), target)
        expect(await rows(target, `select to_regclass('${table}') is not null as ok`), `${name} ${table}`).toEqual([
          { ok: true },
        ])
      }
    }
  })

  test('a file that does not load, or has no up, is named', async () => {
    using project = projectFolder({ 'migrations/1.js': cjs('t'), 'migrations/2.js': `throw new Error('not today')` })
    const broken = await failureOf(migrate(await load(knexMigrator(), project.root), await server.createDatabase()))
    expect(broken.message).toContain('migration 2.js failed: it could not be loaded: not today')
    expect(broken.details).toMatchObject({ migration: '2.js', file: 'migrations/2.js' })
    project.write({ 'migrations/2.js': 'exports.up = () => {}' })
    const halved = await failureOf(migrate(await load(knexMigrator(), project.root), await server.createDatabase()))
    expect(halved.message).toContain('2.js must have both an up and down function')
  })

  test('no files, or no folder, is an error that says where it looked', async () => {
    using project = projectFolder({ 'migrations/1.md': '' })
    const empty = await failureOf(load(knexMigrator(), project.root))
    expect(empty.code).toBe('TESTDB_MIGRATIONS_EMPTY')
    expect(empty.message).toContain(`no migrations in migrations below ${project.root}`)
    expect(empty.message).toContain('.js .cjs')
    const missing = await failureOf(load(knexMigrator({ directory: ['migrations', 'nope'] }), project.root))
    expect(missing.code).toBe('TESTDB_MIGRATIONS_EMPTY')
    expect(missing.message).toContain('nope')
  })
})

describe('options', () => {
  test('custom table and schema, which is created, also by a role that may not create schemas', async () => {
    using project = projectFolder({ 'migrations/1.js': cjs('t') })
    const migrator = await load(knexMigrator({ tableName: 'mig', schemaName: 'ops' }), project.root)
    expect(migrator.lockTable).toEqual({ schema: 'ops', table: 'mig_lock' })
    const target = await server.createDatabase()
    await migrate(migrator, target)
    expect(await names(target, 'ops.mig')).toEqual(['1.js'])
    await rows(
      target,
      'create role plain login; alter schema ops owner to plain; alter table ops.mig owner to plain; alter table ops.mig_lock owner to plain',
    )
    expect((await migrate(migrator, { ...target, user: 'plain' })).applied).toEqual([])
  })

  test('searchPath decides where tables go', async () => {
    using project = projectFolder({
      'knexfile.js': `module.exports = { client: 'pg', searchPath: ['app'] }`,
      'migrations/1.js': cjs('t'),
    })
    const target = await server.createDatabase()
    await rows(target, 'create schema app')
    const migrator = await load(knexMigrator(), project.root)
    await migrate(migrator, target)
    expect(await names(target, 'app.knex_migrations')).toEqual(['1.js'])
    expect(migrator.lockTable).toEqual({ schema: 'app', table: 'knex_migrations_lock' })
  })

  test('a migration outside a transaction may build an index concurrently and open transactions', async () => {
    using project = projectFolder({
      'migrations/1.js': cjs('t'),
      'migrations/2.js': `exports.config = { transaction: false }
exports.up = async (knex) => {
  await knex.raw('create index concurrently on t (id)')
  await knex.transaction((trx) => trx('t').insert({ id: 1 }).then(() => knex('t').count()))
}
exports.down = () => {}`,
    })
    const target = await server.createDatabase()
    expect((await migrate(await load(knexMigrator(), project.root), target)).applied).toEqual(['1.js', '2.js'])
    const [lock] = await rows(target, 'select is_locked from knex_migrations_lock')
    expect(lock).toEqual({ is_locked: 0 })
  })

  test('a migration source of the user', async () => {
    using project = projectFolder({
      'knexfile.js': `module.exports = { client: 'pg', migrations: { migrationSource: {
  getMigrations: async () => ['one', 'two'],
  getMigrationName: (name) => 'm_' + name,
  getMigration: (name) => ({ up: (knex) => knex.schema.createTable(name, (t) => t.increments()), down: () => {} }),
} } }`,
    })
    const migrator = await load(knexMigrator(), project.root)
    const target = await server.createDatabase()
    expect((await migrate(migrator, target)).steps.map((step) => step.name)).toEqual(['m_one', 'm_two'])
    expect(await names(target)).toEqual(['m_one', 'm_two'])
    expect(await migrator.hash()).toMatch(/^[0-9a-f]{64}$/)
  })

  test('list validation is as configured', async () => {
    using project = projectFolder({ 'migrations/1.js': cjs('t'), 'migrations/2.js': cjs('u') })
    const target = await server.createDatabase()
    await migrate(await load(knexMigrator(), project.root), target)
    const directory = 'other'
    project.write({ 'other/1.js': cjs('t') })
    const error = await failureOf(migrate(await load(knexMigrator({ directory }), project.root), target))
    expect(error.message).toContain('the following files are missing: 2.js')
    project.write({
      'knexfile.js': `module.exports = { client: 'pg', migrations: { disableMigrationsListValidation: true } }`,
    })
    expect((await migrate(await load(knexMigrator({ directory }), project.root), target)).applied).toEqual([])
  })

  test("the user's hooks run: pool.afterCreate beside our lock timeout, beforeEach", async () => {
    using project = projectFolder({
      'knexfile.js': `module.exports = {
  client: 'pg',
  pool: { min: 2, max: 3, afterCreate: (connection, done) => connection.query("set my.mark = 'here'", (error) => done(error, connection)) },
}`,
      'migrations/1.js': `exports.up = (knex) => knex.raw("create table t as select current_setting('my.mark') as mark, current_setting('lock_timeout') as wait, current_setting('application_name') as app")\nexports.down = () => {}`,
    })
    const target = await server.createDatabase()
    await migrate(await load(knexMigrator(), project.root), target, { lockTimeoutMs: 1234 })
    expect(await rows(target, 'select * from t')).toEqual([{ mark: 'here', wait: '1234ms', app: 'testdb migrate' }])
  })

  test('the hash follows options and seeds, and neither the connection nor the environment', async () => {
    using project = projectFolder({ 'migrations/1.js': cjs('t') })
    const hash = async () => (await load(knexMigrator(), project.root)).hash()
    const variants = [
      `{}`,
      `{ connection: 'postgres://u:p@h/d' }`,
      `{ migrations: { tableName: 'x' } }`,
      `{ migrations: { disableTransactions: true } }`,
      `{ searchPath: ['a'] }`,
      `{ seeds: { directory: './seeds' } }`,
      `{ pool: { afterCreate: (c, done) => done(null, c) } }`,
    ]
    project.write({ 'seeds/1.js': 'exports.seed = () => {}' })
    const all: string[] = []
    for (const variant of variants) {
      project.write({ 'knexfile.js': `module.exports = { client: 'pg', ...${variant} }` })
      all.push(await hash())
    }
    expect(all[1]).toBe(all[0])
    expect(new Set(all).size).toBe(variants.length - 1)
    project.write({ 'migrations/data.sql': 'select 1' })
    expect(await hash()).not.toBe(all.at(-1))
  })

  test('without knex it says how to install it', async () => {
    using project = projectFolder({ 'migrations/1.js': cjs('t') }, { packages: [] })
    const error = await failureOf(load(knexMigrator(), project.root))
    expect(error.code).toBe('TESTDB_PEER_MISSING')
    expect(error.message).toContain('npm i -D knex')
  })
})

describe('seeds', () => {
  const seed = (id: number): string => `exports.seed = (knex) => knex('t').insert({ id: ${id} })`
  const run = async (seeds: string, files: Record<string, string>): Promise<unknown[]> => {
    using project = projectFolder({
      'knexfile.js': `module.exports = { client: 'pg', seeds: ${seeds} }`,
      'migrations/1.js': `exports.up = (knex) => knex.raw('create table t (n serial, id int)')\nexports.down = () => {}`,
      ...files,
    })
    const target = await server.createDatabase()
    await migrate(await load(knexMigrator(), project.root), target)
    return (await rows<{ id: number }>(target, 'select id from t order by n')).map((row) => row.id)
  }

  test('run after the migrations, with the options of Knex', async () => {
    const files = {
      'seeds/b.js': seed(2),
      'seeds/a.ts': `export const seed = (knex: any) => knex('t').insert({ id: 1 })`,
      'more/0.js': seed(0),
      'seeds/deep/c.js': seed(3),
      'seeds/x.mjs': 'no',
    }
    expect(await run(`{ directory: './seeds' }`, files)).toEqual([1, 2])
    expect(await run(`{}`, files)).toEqual([1, 2])
    expect(await run(`{ directory: './seeds', recursive: true }`, files)).toEqual([1, 2, 3])
    expect(await run(`{ directory: ['./seeds', './more'] }`, files)).toEqual([0, 1, 2])
    expect(await run(`{ directory: ['./seeds', './more'], sortDirsSeparately: true }`, files)).toEqual([1, 2, 0])
    expect(await run(`{ directory: './seeds', specific: 'b.js' }`, files)).toEqual([2])
    expect(await run(`{ directory: './seeds', loadExtensions: ['.ts'] }`, files)).toEqual([1])
  })

  test('a folder that nobody made is a warning when the knexfile names it, an error when the option does', async () => {
    const warnings: string[] = []
    const stop = subscribe('warning.raised', ({ message }) => warnings.push(message))
    expect(await run(`{ directory: './seeds' }`, {})).toEqual([])
    stop()
    expect(warnings.join()).toContain('seeds, which does not exist')
    using project = projectFolder({ 'migrations/1.js': cjs('t') })
    await expect(load(knexMigrator({ seeds: 'nope' }), project.root)).rejects.toMatchObject({
      code: 'TESTDB_SEED_FAILED',
    })
  })

  test('can be left out, by option and by call', async () => {
    using project = projectFolder({
      'knexfile.js': `module.exports = { client: 'pg', seeds: {} }`,
      'migrations/1.js': cjs('t'),
      'seeds/1.js': `exports.seed = () => { throw new Error('must not run') }`,
    })
    await migrate(await load(knexMigrator({ seeds: false }), project.root), await server.createDatabase())
    await migrate(await load(knexMigrator(), project.root), await server.createDatabase(), { seeds: false })
  })

  test('one that fails is named with its SQL error', async () => {
    const error = await failureOf(
      run(`{}`, {
        'seeds/1.js': `exports.seed = (knex) => knex.raw("insert into nowhere select '{}' \\\\? ?", ['secret'])`,
      }),
    )
    expect(error.code).toBe('TESTDB_SEED_FAILED')
    expect(error.message).toContain('seed seeds/1.js failed: relation "nowhere" does not exist (SQLSTATE 42P01)')
    expect(error.message).not.toContain('secret')
    expect(error.details).toMatchObject({ seed: 'seeds/1.js', sqlstate: '42P01', position: { line: 1, column: 13 } })
  })
})

describe('failures', () => {
  test('a migration that leaves a transaction open does not hang the run', { timeout: 20_000 }, async () => {
    using project = projectFolder({
      'migrations/1.js': `exports.config = { transaction: false }
exports.up = async (knex) => { const trx = await knex.transaction(); await trx.raw('create table leaked (id int)') }
exports.down = () => {}`,
    })
    const warnings: string[] = []
    const stop = subscribe('warning.raised', ({ message }) => warnings.push(message))
    const target = await server.createDatabase()
    await migrate(await load(knexMigrator(), project.root), target)
    stop()
    expect(warnings.join()).toContain('left a transaction or query open')
    await expect
      .poll(() => rows(server.admin, `select pid from pg_stat_activity where datname = '${target.database}'`))
      .toEqual([])
  })

  test('a stuck lock is an error of its own', async () => {
    using project = projectFolder({ 'migrations/1.js': cjs('t') })
    const migrator = await load(knexMigrator(), project.root)
    const target = await server.createDatabase()
    await migrate(migrator, target)
    await withSession(target, { applicationName: 'test' }, (session) =>
      session.query('update knex_migrations_lock set is_locked = 1'),
    )
    const error = await failureOf(migrate(migrator, target))
    expect(error.code).toBe('TESTDB_MIGRATION_LOCKED')
    expect(error.message).toContain('knex_migrations_lock')
  })

  test('an error at commit says after which migration', async () => {
    using project = projectFolder({
      'migrations/1.js': `exports.up = (knex) => knex.raw('create table p (id int primary key); create table c (p int references p deferrable initially deferred); insert into c values (1)')\nexports.down = () => {}`,
    })
    const error = await failureOf(migrate(await load(knexMigrator(), project.root), await server.createDatabase()))
    expect(error.message).toContain('after 1.js')
    expect(error.details).toMatchObject({ sqlstate: '23503' })
    expect(error.message).toContain('detail: Key (p)=(1)')
  })
})
