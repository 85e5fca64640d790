/**
 * The composition root: server → registry → run → template, and what a run hands to its workers.
 * Everything above (runners, CLI, `createTestDb`) starts a run here; everything below knows nothing of the whole.
 */
import { availableParallelism } from 'node:os'
import { chooseAndAnnounce } from './choose-migrator.ts'
import type { ResolvedConfig } from './config/config.ts'
import {
  beginRun,
  endRun,
  ensureRegistry,
  ensureRole,
  FORMAT,
  keepOutOfRegistry,
  type Reservation,
  type Role,
} from './coordination/index.ts'
import type { RunContext } from './databases/context.ts'
import { installedBy } from './databases/reset/install.ts'
import { usableReset } from './databases/reset/rights.ts'
import { strategyOf } from './databases/reset/strategies.ts'
import type { ResetName } from './databases/reset/strategy.ts'
import { installedInSchema } from './databases/schemas/strategy.ts'
import { SpareQueue } from './databases/spares.ts'
import { failingOnExit } from './exit-guard.ts'
import { LentSession } from './lent-session.ts'
import { loadSeed } from './migrators/seed.ts'
import { openSession } from './open-server.ts'
import { type ConnectionTarget, type Session, withSession } from './postgres/index.ts'
import { countStatements } from './report/sampler.ts'
import type { Run, RunOptions } from './run.ts'
import { type DatabasePart, reserveBeside, reserveForRun, reserveMore, wantedConnections } from './run-budget.ts'
import { RunSchemas } from './run-schemas.ts'
import { ensureShared, ensureTemplate } from './run-template.ts'
import { announceMissing, assertRights } from './server/rights.ts'
import type { Server } from './server/server.ts'
import { reached } from './steps.ts'
import { BackgroundSweep } from './templates/background-sweep.ts'
import { templateHash } from './templates/hash.ts'
import { assertSchemasPossible } from './templates/schema-server.ts'

/** Starts the run of one database; start-run.ts has the whole. */
export async function startOne(config: ResolvedConfig, options: RunOptions): Promise<Run> {
  const { server, session } = await openSession(config, wantedConnections(config, options), options.open)
  try {
    reached('run.connected')
    const beside = options.beside?.find((run) => run.isOn(session.target))
    assertRights(server, config)
    if (!beside) announceMissing(server, config)
    if (config.isolation === 'schema') await assertSchemasPossible({ ...session.target, ...server.address })
    await ensureRegistry(session)
    // That database belongs to the role of its URL, and what is made in it should too.
    const role = await ensureRole(session, config.role.superuser || config.isolation !== 'database')
    const runId = await beginRun(session, { project: config.project, runner: options.runner })
    reached('run.registered')
    const reservation = beside
      ? await reserveBeside(session, runId, config, { first: beside.reservation, slots: options.slots })
      : await reserveForRun(session, runId, config, options)
    const reset = usableReset(server.capabilities, config.reset)
    const run = new ActiveRun({ config, server, session, role, runId, reset, reservation })
    if (server.ours) await keepOutOfRegistry(session, role)
    await run.refresh()
    session.unref()
    run.sweep.later()
    return run
  } catch (error) {
    await session.close()
    await server.release()
    throw error
  }
}

interface Parts {
  readonly config: ResolvedConfig
  readonly server: Server
  readonly session: Session
  readonly role: Role
  readonly runId: number
  readonly reset: ResetName
  readonly reservation: Reservation
}

class ActiveRun implements Run {
  readonly config: ResolvedConfig
  reservation: Reservation
  readonly sweep: BackgroundSweep
  readonly #lent: LentSession
  readonly #server: Server
  readonly #session: Session
  readonly #role: Role
  readonly #runId: number
  readonly #reset: ResetName
  #hash: string | undefined
  #context: RunContext | undefined
  #spares: SpareQueue | undefined
  #schemas: RunSchemas | undefined
  #growing: Promise<unknown> = Promise.resolve()

  constructor({ config, server, session, role, runId, reset, reservation }: Parts) {
    this.config = config
    this.reservation = reservation
    this.#server = server
    this.#session = session
    this.#role = role
    this.#runId = runId
    this.#reset = reset
    this.sweep = new BackgroundSweep(session, config.project)
    this.#lent = new LentSession(session, this.sweep)
  }

  get context(): RunContext {
    if (!this.#context) throw new Error('bug: the run has no template yet')
    return this.#context
  }

  isOn({ host, port, database }: ConnectionTarget): boolean {
    const own = this.#session.target
    return own.host === host && own.port === port && own.database === database
  }

  reserveMore(databases: number): Promise<DatabasePart> {
    const grown = this.#growing.then(async () => {
      // On the run's own session a sweep or the queue of spares may be at work, which a transaction would break.
      const options = { applicationName: 'testdb coordination', neutral: true }
      const { reservation, part } = await withSession(this.#server.admin, options, (session) =>
        reserveMore(session, this.#runId, this.config, { present: this.reservation, databases }),
      )
      this.reservation = reservation
      await this.#schemas?.makeOneMore()
      return part
    })
    this.#growing = grown.catch(() => undefined)
    return grown
  }

  lend<T>(work: (session: Session | undefined) => Promise<T>): Promise<T> {
    // A queue is always at work in it.
    return this.#spares || this.#schemas ? work(undefined) : this.#lent.lend(work)
  }

  refresh(): Promise<boolean> {
    return failingOnExit(() => this.#refresh())
  }

  async #refresh(): Promise<boolean> {
    const { config } = this
    // One session does both: its locks would not keep the two apart, and a DROP can not run inside the seal's transaction.
    await this.#lent.returned()
    await this.sweep.pause()
    await this.#spares?.stop()
    await this.#schemas?.stop()
    const migrator = await chooseAndAnnounce(config, this.#hash === undefined)
    const seed = await loadSeed(config.seed, config.root)
    const strategy = strategyOf(this.#reset)
    const hash = await templateHash(
      {
        migrator: await migrator.hash(),
        seed: await seed?.hash(),
        extensions: config.extensions,
        serverMajor: this.#server.major,
        superuser: this.#role.superuser,
        owner: this.#role.user,
        format: FORMAT,
        installed: config.isolation === 'schema' ? installedInSchema(this.#reset) : installedBy(strategy),
      },
      { root: config.root, ...config.hash },
    )
    if (hash === this.#hash) {
      this.#fillSpares()
      return false
    }
    const { admin, address } = this.#server
    const place = { session: this.#session, address, runId: this.#runId, role: this.#role, config }
    const template =
      config.isolation === 'database' ? await ensureTemplate(place, { hash, migrator, seed, strategy }) : undefined
    if (config.isolation === 'shared') await ensureShared(place, migrator)
    if (config.isolation === 'schema') {
      this.#schemas = new RunSchemas(place, { hash, migrator, seed, reset: this.#reset })
      await this.#schemas.prepare(this.reservation.slots)
    }
    this.#context = {
      runId: this.#runId,
      project: config.project,
      name: config.databaseName,
      projectRoot: config.root,
      admin,
      address,
      role: this.#role,
      template,
      shared: config.isolation === 'shared' ? admin.database : undefined,
      schemas: config.isolation === 'schema' ? { hash } : undefined,
      reset: this.#reset,
      onDdl: config.onDdl,
      scope: config.scope,
      keepOnFailure: config.keepOnFailure,
      guards: config.guards,
      pool: { ...config.pool, max: this.reservation.poolMax },
      connectionLimit: this.reservation.connectionLimit,
      env: config.env,
    }
    this.#hash = hash
    this.#fillSpares()
    return true
  }

  #fillSpares(): void {
    this.#schemas?.serve()
    if (this.config.scope === 'worker') return
    this.#spares = new SpareQueue(this.#session, this.context, availableParallelism() + 1)
    this.#spares.start()
  }

  async close(): Promise<void> {
    await this.#lent.returned()
    // What it leaves when the session is lost, the next run sweeps.
    await this.#spares?.clear().catch(() => undefined)
    await this.#schemas?.stop()
    await this.sweep.finish()
    await countStatements(this.#session)
    if (!this.#session.lost.aborted) await endRun(this.#session, this.#runId).catch(() => undefined)
    await this.#session.close()
    await this.#server.release()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
