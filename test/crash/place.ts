/**
 * Where a row of the crash table happens: a maintenance database of its own (and with it a registry) on a server that only
 * this test file uses, and a project. So "nothing is left" can be asked of the whole server.
 */
import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import type { TestDbConfig } from '../../src/config/config.ts'
import { resolveConfig } from '../../src/config/resolve.ts'
import { hasRegistry } from '../../src/coordination/index.ts'
import { cloneStrategy } from '../../src/postgres/databases.ts'
import { type ConnectionTarget, formatUrl, ident, Session, withSession } from '../../src/postgres/index.ts'
import type { Run } from '../../src/run.ts'
import { startRun } from '../../src/start-run.ts'
import { binaries } from '../helpers/packages.ts'
import { type ProjectFolder, projectFolder } from '../helpers/project-folder.ts'
import { eventually } from '../helpers/wait.ts'
import { type Content, contentOf } from './content.ts'

const FILES = {
  'package.json': '{"name":"crash"}',
  'hashed.txt': 'first',
  'migrations/001_tables.sql': `
    -- When a migration ran is not content.
    alter table testdb_migrations alter applied_at set default '2000-01-01';
    create table users (id serial primary key, name text not null unique);
    create table orders (id int generated always as identity primary key, user_id int not null references users, total numeric);
    create unlogged table visits (n int);
    create sequence numbers start 7;
    create view totals as select user_id, sum(total) as total from orders group by 1;`,
  'migrations/002_rows.sql': `
    insert into users (name) select 'user ' || n from generate_series(1, 20) as n;
    insert into visits select generate_series(1, 10);
    select nextval('numbers') from generate_series(1, 3);`,
  'migrations/003_trigger.sql': `
    create function stamp() returns trigger language plpgsql as $$ begin new.total = coalesce(new.total, 1); return new; end $$;
    create trigger stamp before insert on orders for each row execute function stamp();`,
  'seed.sql': 'insert into orders (user_id, total) select id, nullif(id % 3, 0) from users',
}

export class Place implements AsyncDisposable {
  readonly project: ProjectFolder
  readonly options: TestDbConfig
  readonly admin: ConnectionTarget
  readonly #runs: Promise<Run | undefined>[] = []
  #observer: Session

  private constructor(observer: Session, project: ProjectFolder) {
    this.#observer = observer
    this.admin = observer.target
    this.project = project
    this.options = {
      server: { kind: 'url', url: formatUrl(observer.target) },
      seed: 'seed.sql',
      hash: { include: ['hashed.txt'] },
    }
  }

  static async create(server: ConnectionTarget): Promise<Place> {
    const database = `crash_test_${randomBytes(4).toString('hex')}`
    await withSession(server, { applicationName: 'test' }, (admin) =>
      admin.query(`create database ${database} template template0 ${cloneStrategy(binaries.major)}`),
    )
    const observer = await Session.open({ ...server, database }, { applicationName: 'test' })
    return new Place(observer, projectFolder(FILES, { packages: [] }))
  }

  get observer(): Session {
    return this.#observer
  }

  /** For tests that restart the server. */
  async reconnect(): Promise<void> {
    await this.#observer.close()
    this.#observer = await eventually('the server accepts connections', () =>
      Session.open(this.admin, { applicationName: 'test' }).catch(() => undefined),
    )
  }

  /** Starts a run in this process; whoever asked closes it, and so does the place when a test has failed before. */
  async run(): Promise<Run> {
    const config = await resolveConfig({ cwd: this.project.root, options: this.options, env: {} })
    const run = startRun(config, { runner: 'next', slots: 1 })
    this.#runs.push(run.catch(() => undefined))
    return await run
  }

  /** Another content hash with the same content: rows of one place can have templates of their own. */
  rehash(text: string): void {
    this.project.write({ 'hashed.txt': text })
  }

  async rows<R>(sql: string, values: readonly unknown[] = []): Promise<R[]> {
    return (await this.#observer.query<R>(sql, values)).rows
  }

  /** Backends of everybody but the observer, on the whole server; or only those that call themselves by a name. */
  async backends(applicationName?: string): Promise<number[]> {
    const rows = await this.rows<{ pid: number }>(
      `select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()
          and ($1::text is null or application_name = $1) order by pid`,
      [applicationName ?? null],
    )
    return rows.map(({ pid }) => pid)
  }

  /** True while a session waits for a lock that is not an advisory one, without anybody hearing of it. */
  async isBlocked(): Promise<boolean> {
    return (
      (await this.rows(`select from pg_stat_activity where wait_event_type = 'Lock' and wait_event <> 'advisory'`))
        .length > 0
    )
  }

  /** Ends sessions the way an administrator does; resolves when they are gone. */
  async cut(pids: readonly number[]): Promise<void> {
    await this.rows('select pg_terminate_backend(pid) from unnest($1::int[]) as pid', [pids])
    await eventually('the sessions are gone', async () => !(await this.backends()).some((pid) => pids.includes(pid)))
  }

  /** What the registry and the catalog say about each template, in the order of their making. */
  async state(): Promise<string> {
    if (!(await hasRegistry(this.#observer))) return 'no registry'
    const rows = await this.rows<{ state: string; there: boolean }>(
      `select state, exists (select from pg_database where datname = coalesce(staging, name)) as there
         from testdb.templates order by id`,
    )
    const lines = rows.map(({ state, there }) => `${state}, ${there ? 'database' : 'no database'}`)
    return lines.join('; ') || 'no template'
  }

  /** Every database that did not come with the server. */
  async databases(): Promise<string[]> {
    const rows = await this.rows<{ name: string }>(
      `select datname as name from pg_database where datname not in ('postgres', 'template0', 'template1', $1) order by 1`,
      [this.admin.database],
    )
    return rows.map(({ name }) => name)
  }

  async content(template: string): Promise<Content> {
    return await contentOf(this.#observer, template)
  }

  /** Nothing is left of anybody: only sealed templates, and idle databases that are ready. */
  async expectClean(template: string): Promise<void> {
    await eventually('no session is left', async () => (await this.backends()).length === 0).catch(async (error) => {
      const left = await this.rows('select pid, datname, application_name, query from pg_stat_activity')
      throw new Error(`sessions are left: ${JSON.stringify(left)}`, { cause: error })
    })
    expect(await this.rows(`select classid, objid from pg_locks where locktype = 'advisory'`)).toEqual([])
    expect(await this.rows('select id, pid from testdb.runs')).toEqual([])
    const idle = await this.rows<{ name: string; state: string }>('select name, state from testdb.databases')
    expect(idle.filter(({ state }) => state !== 'ready')).toEqual([])
    expect(await this.databases()).toEqual([template, ...idle.map(({ name }) => name)].sort())
    expect(
      await this.rows(
        `select name, state, staging from testdb.templates where state <> 'missing' or staging is not null`,
      ),
    ).toEqual([{ name: template, state: 'sealed', staging: null }])
  }

  async close(): Promise<void> {
    for (const run of this.#runs) await (await run)?.close()
    this.project[Symbol.dispose]()
    const { database } = this.admin
    if (this.#observer.lost.aborted) await this.reconnect()
    for (const name of await this.databases()) {
      await this.rows(`alter database ${ident(name)} is_template false`)
      await this.rows(`drop database ${ident(name)} with (force)`)
    }
    await this.#observer.close()
    await withSession({ ...this.admin, database: 'postgres' }, { applicationName: 'test' }, (admin) =>
      admin.query(`drop database ${ident(database)} with (force)`),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
