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
  leadOrFollow,
  type Role,
  registerTemplate,
  useTemplate,
} from './coordination/index.ts'
import type { RunContext } from './databases/context.ts'
import { installedBy, installReset } from './databases/reset/install.ts'
import { usableReset } from './databases/reset/rights.ts'
import { strategyOf } from './databases/reset/strategies.ts'
import type { ResetName } from './databases/reset/strategy.ts'
import { SpareQueue } from './databases/spares.ts'
import { publish } from './events.ts'
import { failingOnExit } from './exit-guard.ts'
import type { Migrator } from './migrators/migrator.ts'
import { loadSeed } from './migrators/seed.ts'
import { openSession } from './open-server.ts'
import type { Session } from './postgres/index.ts'
import type { Server } from './server/server.ts'
import { reached } from './steps.ts'
import { BackgroundSweep } from './templates/background-sweep.ts'
import { buildTemplate, templateName } from './templates/build.ts'
import { templateHash } from './templates/hash.ts'
import { migrateShared } from './templates/shared.ts'

/** How long a process waits for another one's build (ms): longer than any sane migration, shorter than a forgotten CI job. */
const BUILD_WAIT_MS = 30 * 60_000

/** One invocation of a test runner. It lives as long as its session; `close()` only makes the end faster. */
export interface Run extends AsyncDisposable {
  /** What workers need; another object after a `refresh()` that found changed migrations. */
  readonly context: RunContext
  readonly config: ResolvedConfig
  /** Looks at the migrations again and builds a template if they have changed; true when they had. For watch mode. */
  refresh(): Promise<boolean>
  close(): Promise<void>
}

/** Starts or attaches the server, makes sure that the migrated template is there, and registers the run. */
export async function startRun(config: ResolvedConfig, runner: string): Promise<Run> {
  const { server, session } = await openSession(config)
  try {
    reached('run.connected')
    await ensureRegistry(session)
    // A shared database belongs to the role of its URL, and its objects should too.
    const role = await ensureRole(session, config.role.superuser || config.isolation === 'shared')
    const runId = await beginRun(session, { project: config.project, runner })
    reached('run.registered')
    const run = new ActiveRun(config, server, session, role, runId, await usableReset(session, config.reset))
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

class ActiveRun implements Run {
  readonly config: ResolvedConfig
  readonly sweep: BackgroundSweep
  readonly #server: Server
  readonly #session: Session
  readonly #role: Role
  readonly #runId: number
  readonly #reset: ResetName
  #hash: string | undefined
  #context: RunContext | undefined
  #spares: SpareQueue | undefined

  constructor(config: ResolvedConfig, server: Server, session: Session, role: Role, runId: number, reset: ResetName) {
    this.config = config
    this.#server = server
    this.#session = session
    this.#role = role
    this.#runId = runId
    this.#reset = reset
    this.sweep = new BackgroundSweep(session, config.project)
  }

  get context(): RunContext {
    if (!this.#context) throw new Error('bug: the run has no template yet')
    return this.#context
  }

  refresh(): Promise<boolean> {
    return failingOnExit(() => this.#refresh())
  }

  async #refresh(): Promise<boolean> {
    const { config } = this
    // One session does both: its locks would not keep the two apart, and a DROP can not run inside the seal's transaction.
    await this.sweep.pause()
    await this.#spares?.stop()
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
        installed: installedBy(strategy),
      },
      { root: config.root, ...config.hash },
    )
    if (hash === this.#hash) {
      this.#fillSpares()
      return false
    }
    const template = config.isolation === 'shared' ? undefined : await this.#ensureTemplate(hash, migrator, seed)
    if (!template) await this.#migrateShared(migrator)
    this.#context = {
      runId: this.#runId,
      project: config.project,
      projectRoot: config.root,
      admin: this.#server.admin,
      address: this.#server.address,
      role: this.#role,
      serverMajor: this.#server.major,
      template,
      shared: template ? undefined : this.#server.admin.database,
      reset: this.#reset,
      onDdl: config.onDdl,
      scope: config.scope,
      keepOnFailure: config.keepOnFailure,
      poolMax: config.pool.max,
      env: config.env,
    }
    this.#hash = hash
    this.#fillSpares()
    return true
  }

  #fillSpares(): void {
    if (this.config.scope === 'worker') return
    this.#spares = new SpareQueue(this.#session, this.context, availableParallelism() + 1)
    this.#spares.start()
  }

  async #ensureTemplate(
    hash: string,
    migrator: Migrator,
    seed: Awaited<ReturnType<typeof loadSeed>>,
  ): Promise<{ readonly id: number; readonly name: string }> {
    const session = this.#session
    const startedAt = performance.now()
    const name = templateName(hash, session.target.database)
    const { project } = this.config
    const { id } = await registerTemplate(session, { hash, project, summary: migrator.summary, name })
    // From here on no sweep takes the template away; only then is it safe to look whether it is there.
    await useTemplate(session, this.#runId, id)
    reached('run.usesTemplate')
    const strategy = strategyOf(this.#reset)
    let built = false
    const sealed = await leadOrFollow({
      session,
      templateId: id,
      label: name,
      acceptEarlier: true,
      waitTimeoutMs: BUILD_WAIT_MS,
      lead: (row) => {
        built = true
        return buildTemplate(session, row, {
          migrator,
          seed,
          extensions: this.config.extensions,
          role: this.#role,
          address: this.#server.address,
          install: (staging) => installReset(staging, strategy, { bookkeeping: migrator.bookkeeping }),
        })
      },
    })
    if (!built) publish('template.reused', { template: name, waitedMs: performance.now() - startedAt })
    return { id, name: sealed.name ?? name }
  }

  async #migrateShared(migrator: Migrator): Promise<void> {
    await migrateShared({
      session: this.#session,
      address: this.#server.address,
      runId: this.#runId,
      project: this.config.project,
      migrator,
      waitTimeoutMs: BUILD_WAIT_MS,
    })
  }

  async close(): Promise<void> {
    // What it leaves when the session is lost, the next run sweeps.
    await this.#spares?.clear().catch(() => undefined)
    await this.sweep.finish()
    if (!this.#session.lost.aborted) await endRun(this.#session, this.#runId).catch(() => undefined)
    await this.#session.close()
    await this.#server.release()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
