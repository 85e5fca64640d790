/** `isolation: 'schema'` on a server of the test's own, with a role that may create schemas in its database and nothing else. */
import { randomBytes } from 'node:crypto'
import { acquireDatabase } from '../../src/acquire.ts'
import type { TestDbConfig } from '../../src/config/config.ts'
import { resolveConfig } from '../../src/config/resolve.ts'
import type { WorkerDatabase } from '../../src/databases/database.ts'
import { type ConnectionTarget, cloneStrategy, formatUrl, Session, withSession } from '../../src/postgres/index.ts'
import type { Run } from '../../src/run.ts'
import { startRun } from '../../src/start-run.ts'
import { binaries } from '../helpers/packages.ts'
import { type PrivatePostgres, startPrivatePostgres } from '../helpers/private-postgres.ts'
import { type ProjectFolder, projectFolder } from '../helpers/project-folder.ts'
import { eventually } from '../helpers/wait.ts'

export const FILES = {
  'package.json': '{"name":"shop"}',
  'migrations/001_tables.sql': `
    create table users (id int generated always as identity primary key, name text not null);
    create table orders (id serial primary key, user_id int not null references users, note text);
    create sequence numbers start 7;
    create view names as select name from users;`,
  'migrations/002_rows.sql': `insert into users (name) values ('Ada'), ('Grace'); select nextval('numbers');`,
}

export interface SchemaRecord {
  readonly name: string
  readonly state: string
  readonly run_id: number | null
  readonly hash: string
}

export class SchemaLab implements AsyncDisposable {
  readonly #server: PrivatePostgres
  readonly #open: AsyncDisposable[] = []

  private constructor(server: PrivatePostgres) {
    this.#server = server
  }

  static async start(): Promise<SchemaLab> {
    return new SchemaLab(await startPrivatePostgres())
  }

  /** A database with a plain role of its own, and a schema of somebody else in it. */
  async place(files: Readonly<Record<string, string>> = FILES, options: TestDbConfig = {}): Promise<SchemaPlace> {
    const name = `s${randomBytes(4).toString('hex')}_test`
    const role = `plain_${name}`
    const { admin } = this.#server
    await withSession(admin, { applicationName: 'test' }, async (session) => {
      await session.query(`create role ${role} login`)
      await session.query(`create database ${name} template template0 ${cloneStrategy(binaries.major)}`)
      await session.query(`grant create on database ${name} to ${role}`)
    })
    const observer = await Session.open({ ...admin, database: name }, { applicationName: 'test' })
    const target = { ...admin, user: role, database: name }
    const place = new SchemaPlace(observer, target, projectFolder(files), options)
    this.#open.push(place)
    return place
  }

  /** The same place after its connections are gone. */
  async reopen({ observer, target, project, options }: SchemaPlace): Promise<SchemaPlace> {
    const open = (): Promise<Session | undefined> =>
      Session.open(observer.target, { applicationName: 'test' }).catch(() => undefined)
    const place = new SchemaPlace(await eventually('the server is back', open, 30_000), target, project, options)
    this.#open.push(place)
    return place
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of this.#open) await one[Symbol.asyncDispose]()
    await this.#server.stop()
  }
}

export class SchemaPlace implements AsyncDisposable {
  /** The superuser, on the database. */
  readonly observer: Session
  /** The plain role. */
  readonly target: ConnectionTarget
  readonly project: ProjectFolder
  readonly options: TestDbConfig
  readonly #runs = new Set<Run>()

  constructor(observer: Session, target: ConnectionTarget, project: ProjectFolder, options: TestDbConfig) {
    this.observer = observer
    this.target = target
    this.project = project
    this.options = { server: { kind: 'url', url: formatUrl(target) }, isolation: 'schema', ...options }
  }

  async run(slots = 1, options: TestDbConfig = {}, project: ProjectFolder = this.project): Promise<Run> {
    const config = await resolveConfig({ cwd: project.root, options: { ...this.options, ...options }, env: {} })
    const run = await startRun(config, { runner: 'test', slots })
    this.#runs.add(run)
    return run
  }

  async acquire(run: Run, slot = '1'): Promise<WorkerDatabase> {
    return await acquireDatabase(run.context, { slot })
  }

  async ask<R = Record<string, unknown>>(sql: string): Promise<R[]> {
    return (await this.observer.query<R>(sql)).rows
  }

  records(): Promise<SchemaRecord[]> {
    return this.ask('select name, state, run_id, hash from testdb.schemas order by id')
  }

  /** The schemas that are really there, without their companions. */
  async schemas(): Promise<string[]> {
    const rows = await this.ask<{ name: string }>(
      `select nspname as name from pg_namespace where nspname like 'testdb\\_%' and nspname not like '%\\_copy' order by nspname`,
    )
    return rows.map(({ name }) => name)
  }

  /** As another role than ours has it. */
  async foreign(): Promise<void> {
    await this.observer.batch(`
      create schema foreign_app;
      create table foreign_app.users (id int primary key, name text);
      insert into foreign_app.users values (1, 'theirs');
      create table public.users (id int primary key, name text);
      insert into public.users values (2, 'shared');
      grant usage on schema foreign_app to public; grant all on all tables in schema foreign_app, public to public`)
  }

  async close(): Promise<void> {
    for (const run of this.#runs) await run.close().catch(() => undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
    this.project[Symbol.dispose]()
    await this.observer.close()
  }
}

/** Rows, sequences and bookkeeping of a schema, in the words of its own search path. */
export async function contentOf(db: WorkerDatabase): Promise<unknown> {
  const { rows } = await db.query(`
    select (select json_agg(u order by id) from users u) as users, (select json_agg(o order by id) from orders o) as orders,
           (select json_agg(name order by name) from testdb_migrations) as migrations, (select last_value from numbers) as number,
           pg_sequence_last_value(pg_get_serial_sequence('users', 'id')) as "lastUser"`)
  return rows[0]
}
