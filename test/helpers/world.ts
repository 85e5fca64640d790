/**
 * A world of its own for a test: a maintenance database (and with it a registry), runs, and templates with content that
 * nobody else has. `close()` ends it and fails when something is left that the code should have dropped.
 */

import { createHash, randomBytes } from 'node:crypto'
import { inject } from 'vitest'
import {
  beginRun,
  endRun,
  ensureRegistry,
  ensureRole,
  leadOrFollow,
  type Role,
  registerTemplate,
  type TemplateRow,
  useTemplate,
} from '../../src/coordination/index.ts'
import { acquireLease } from '../../src/databases/allocator.ts'
import type { RunContext } from '../../src/databases/context.ts'
import type { Lease } from '../../src/databases/lease.ts'
import { installReset } from '../../src/databases/reset/install.ts'
import { strategyOf } from '../../src/databases/reset/strategies.ts'
import type { ResetName } from '../../src/databases/reset/strategy.ts'
import { DEFAULT_GUARDS } from '../../src/guards/levels.ts'
import { functionMigrator } from '../../src/migrators/function.ts'
import type { Migrator, TableName } from '../../src/migrators/migrator.ts'
import { connectionLimit, DEFAULT_LIMITS } from '../../src/pools/limits.ts'
import { type ConnectionTarget, cloneStrategy, ident, Session, withSession } from '../../src/postgres/index.ts'
import { buildTemplate, type TemplatePlan, templateName } from '../../src/templates/build.ts'
import { binaries } from './packages.ts'

/** Templates are named by their hash on the whole server: no two tests may have the same. */
export const uniqueHash = (): string => randomBytes(16).toString('hex')

export interface TemplateOptions {
  readonly hash?: string
  /** What the migration runs, as the role. */
  readonly sql?: string
  /** What the seed runs, as the role. */
  readonly seed?: string
  /** What the admin does to the migrated database before it is equipped; for what a migration of a plain role can not do. */
  readonly admin?: string
  readonly migrator?: Migrator
  readonly extensions?: readonly string[]
  readonly bookkeeping?: readonly TableName[]
  readonly reset?: ResetName
}

export interface Template {
  readonly id: number
  readonly name: string
  readonly hash: string
}

/** A run with a session of its own, as a process has it. */
export interface TestRun {
  readonly id: number
  readonly session: Session
  end(): Promise<void>
}

export class World {
  readonly admin: ConnectionTarget
  readonly session: Session
  readonly role: Role
  readonly project: string
  readonly #server: ConnectionTarget
  readonly #hashes = new Set<string>()
  readonly #sessions = new Set<Session>()
  readonly #leases = new Set<Lease>()

  private constructor(server: ConnectionTarget, session: Session, role: Role, project: string) {
    this.#server = server
    this.admin = session.target
    this.session = session
    this.role = role
    this.project = project
  }

  /** Makes the maintenance database and its registry on the server of the whole test run, or on another one. */
  static async create(server: ConnectionTarget = inject('server')): Promise<World> {
    const name = `world_${randomBytes(6).toString('hex')}`
    await withSession(server, { applicationName: 'test' }, (admin) =>
      admin.query(`create database ${name} template template0 ${cloneStrategy(binaries.major)}`),
    )
    const session = await Session.open({ ...server, database: name }, { applicationName: 'test' })
    await ensureRegistry(session)
    const role = await ensureRole(session, false)
    return new World(server, session, role, `p${randomBytes(4).toString('hex')}x`)
  }

  /** Another session on the maintenance database, as another process would have it. */
  async open(applicationName = 'test'): Promise<Session> {
    const session = await Session.open(this.admin, { applicationName })
    this.#sessions.add(session)
    return session
  }

  /** A session on any database of the server, as the admin or as the role. */
  async connect(database: string, as: 'admin' | 'role' = 'admin'): Promise<Session> {
    const { user, password } = as === 'admin' ? this.admin : { ...this.role }
    const session = await Session.open({ ...this.admin, user, password, database }, { applicationName: 'test' })
    this.#sessions.add(session)
    return session
  }

  async run(): Promise<TestRun> {
    const session = await this.open()
    const id = await beginRun(session, { project: this.project, runner: 'test' })
    let ended = false
    return {
      id,
      session,
      end: async () => {
        if (ended) return
        ended = true
        if (!session.lost.aborted) await endRun(session, id)
        await session.close()
      },
    }
  }

  async plan(options: TemplateOptions): Promise<TemplatePlan> {
    const { sql = 'create table items (id serial primary key, name text)', seed, admin, bookkeeping = [] } = options
    const definition = functionMigrator({ hash: options.hash ?? '', migrate: ({ query }) => query(sql) })
    const { host, port } = this.admin
    return {
      migrator: options.migrator ?? (await definition.load({ root: process.cwd(), environment: 'test' })),
      seed: seed === undefined ? undefined : { summary: 'seed', run: (target) => execute(target, seed) },
      extensions: options.extensions ?? [],
      role: this.role,
      address: { host, port },
      install: async (session) => {
        if (admin !== undefined) await session.query(admin)
        await installReset(session, strategyOf(options.reset ?? 'rows'), { bookkeeping })
      },
    }
  }

  /** Registers a template that does not exist yet; nothing is built. */
  async register(session: Session = this.session, hash = uniqueHash()): Promise<TemplateRow> {
    this.#hashes.add(hash)
    return await registerTemplate(session, {
      hash,
      project: this.project,
      summary: 'test',
      name: templateName(hash, session.target.database),
    })
  }

  /** Builds a template, or waits for it, the way a run does. */
  async template(options: TemplateOptions = {}, run?: TestRun): Promise<Template> {
    const session = run?.session ?? this.session
    const hash = options.hash ?? uniqueHash()
    const { id } = await this.register(session, hash)
    if (run) await useTemplate(session, run.id, id)
    const plan = await this.plan(options)
    const lead = (row: TemplateRow): Promise<void> => buildTemplate(session, row, plan)
    const name = templateName(hash, this.session.target.database)
    const sealed = await leadOrFollow({
      session,
      templateId: id,
      label: name,
      acceptEarlier: true,
      waitTimeoutMs: 60_000,
      lead,
    })
    return { id, name: sealed.name ?? name, hash }
  }

  context(run: TestRun, template: Template, options: Partial<RunContext> = {}): RunContext {
    const { host, port } = this.admin
    return {
      runId: run.id,
      project: this.project,
      projectRoot: process.cwd(),
      name: 'main',
      admin: this.admin,
      address: { host, port },
      role: this.role,
      template: { id: template.id, name: template.name },
      shared: undefined,
      reset: 'rows',
      onDdl: 'defer',
      scope: 'worker',
      keepOnFailure: false,
      guards: { ...DEFAULT_GUARDS, manyQueries: undefined },
      pool: { ...DEFAULT_LIMITS, max: 3 },
      connectionLimit: connectionLimit(3),
      env: ['DATABASE_URL'],
      ...options,
    }
  }

  async acquire(context: RunContext, slot = '1'): Promise<Lease> {
    const lease = await acquireLease(context, slot)
    this.#leases.add(lease)
    return lease
  }

  /** Names of the databases that this world has made and not dropped. */
  async databases(): Promise<string[]> {
    const { rows } = await this.session.query<{ name: string }>(
      `select datname as name from pg_database where datname like $1 or datname = any ($2) or datname in (
         select staging from testdb.templates where staging is not null) order by 1`,
      [
        `testdb\\_${this.project}\\_\\_%`,
        [...this.#hashes].map((hash) => templateName(hash, this.session.target.database)),
      ],
    )
    return rows.map((row) => row.name)
  }

  async stagings(): Promise<string[]> {
    const { rows } = await this.session.query<{ name: string }>(
      `select datname as name from pg_database join testdb.templates t on datname like format('testdb\\_s\\_%s\\_%s\\_%%', t.id, t.attempt)
        where t.state <> 'sealed' or t.staging is not null`,
    )
    return rows.map((row) => row.name)
  }

  /** Removes everything; throws when a database is not in the registry, or when a session is left on one of them. */
  async close(): Promise<void> {
    for (const lease of this.#leases) await lease.release().catch(() => undefined)
    for (const session of this.#sessions) await session.close()
    const problems: string[] = []
    const known = await this.session.query<{ name: string }>(
      `select name from testdb.databases union select name from testdb.templates union select staging from testdb.templates`,
    )
    const registered = new Set(known.rows.map((row) => row.name))
    for (const name of await this.databases()) {
      if (!registered.has(name)) problems.push(`${name} is in no registry`)
      const { rows } = await this.session.query<{ pid: number; application_name: string; query: string }>(
        'select pid, application_name, query from pg_stat_activity where datname = $1',
        [name],
      )
      for (const row of rows) problems.push(`session left on ${name}: ${JSON.stringify(row)}`)
      await this.session.query(`alter database ${ident(name)} is_template false`)
      await this.session.query(`drop database ${ident(name)} with (force)`)
    }
    const { database } = this.admin
    await this.session.close()
    await withSession(this.#server, { applicationName: 'test' }, async (admin) => {
      const { rows } = await admin.query(
        'select pid, application_name, query from pg_stat_activity where datname = $1',
        [database],
      )
      for (const row of rows) problems.push(`session left on ${database}: ${JSON.stringify(row)}`)
      await admin.query(`drop database ${ident(database)} with (force)`)
    })
    if (problems.length > 0) throw new Error(`left behind:\n  ${problems.join('\n  ')}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

export async function execute(target: ConnectionTarget, sql: string): Promise<void> {
  await withSession(target, { applicationName: 'test' }, (session) => session.query(sql))
}

export const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 32)
