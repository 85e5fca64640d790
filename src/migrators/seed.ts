/** The configured seed: rows that every test starts with. It runs after the migrations and becomes part of the template. */
import { createHash } from 'node:crypto'
import { readdirSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { extname, join, resolve } from 'node:path'
import { isTestDbError, TestDbError } from '../errors.ts'
import { type ConnectionTarget, formatUrl, withSession } from '../postgres/index.ts'
import { failure } from './failure.ts'
import { filesBelow, hashOf, portableName } from './hash-files.ts'
import type { EmulationTarget } from './migrator.ts'
import { createModuleLoader } from './module-loader.ts'
import { StatementRecorder } from './statements.ts'
import { withoutServer } from './without-server.ts'

/** What a seed function is given: the migrated database, as the role that owns it. */
export interface SeedContext {
  readonly url: string
  query(sql: string, values?: readonly unknown[]): Promise<{ rows: Record<string, unknown>[] }>
}
export type SeedFunction = (database: SeedContext) => Promise<void> | void

export interface Seed {
  /** One line for people. */
  readonly summary: string
  /** Changes whenever the seeded rows could. Hex. */
  hash(): Promise<string>
  /** Throws `TESTDB_SEED_FAILED` with what went wrong as its cause. */
  run(target: ConnectionTarget): Promise<void>
  /** The same for an emulation in this process. */
  emulate(target: Pick<EmulationTarget, 'query'>): Promise<void>
}

/** `.sql` runs as it is; the others export a `SeedFunction` as their default. */
const EXTENSIONS = ['.sql', '.js', '.mjs', '.cjs', '.ts', '.mts', '.cts']

/** Reads the `seed` of the configuration: a file, a folder of files (run in the order of their names), or a function. */
export function loadSeed(seed: string | SeedFunction | undefined, root: string): Seed | undefined {
  if (seed === undefined) return undefined
  if (typeof seed === 'function') return functionSeed(seed)
  const path = resolve(root, seed)
  const stats = statSync(path, { throwIfNoEntry: false })
  if (!stats) throw invalid(`${seed} does not exist below ${root}`)
  if (stats.isDirectory()) {
    const files = seedFiles(path)
    if (files.length === 0) throw invalid(`${seed} has no files with ${EXTENSIONS.join(' ')}`)
    const summary = `${seed} (${files.length} ${files.length === 1 ? 'file' : 'files'})`
    return {
      summary,
      // Helpers and data that lie beside the files count too.
      hash: async () => hashOf(path, ['seed', 'folder'], await filesBelow(path)),
      run: (target) => runFiles(seedFiles(path), onServer(target), root),
      emulate: (target) => runFiles(seedFiles(path), inProcess(target), root),
    }
  }
  if (!isSeedFile(path)) throw invalid(`${seed} must be a folder or a file with ${EXTENSIONS.join(' ')}`)
  return {
    summary: seed,
    hash: async () => hashOf(root, ['seed', 'file'], [path]),
    run: (target) => runFiles([path], onServer(target), root),
    emulate: (target) => runFiles([path], inProcess(target), root),
  }
}

function functionSeed(seed: SeedFunction): Seed {
  const name = seed.name || 'function'
  return {
    summary: `function ${seed.name || '(no name)'}`,
    // What it imports or closes over can not be seen: `hash.include` and `hash.env` are for that.
    hash: async () => createHash('sha256').update(`seed function ${seed.toString()}`).digest('hex'),
    run: (target) => runFunction(seed, onServer(target), name, undefined),
    emulate: (target) => runFunction(seed, inProcess(target), name, undefined),
  }
}

const isSeedFile = (name: string): boolean => EXTENSIONS.includes(extname(name)) && !/\.d\.[cm]?ts$/.test(name)

function seedFiles(folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true })
  const names = entries.filter((entry) => !entry.isDirectory() && isSeedFile(entry.name)).map((entry) => entry.name)
  return names.sort().map((name) => join(folder, name))
}

/** Where the seed goes. */
interface Place {
  /** Calls `work` with something that runs SQL. */
  use(work: (database: Pick<SeedContext, 'query'>) => Promise<void>): Promise<void>
  context(query: SeedContext['query']): SeedContext
}

const onServer = (target: ConnectionTarget): Place => ({
  use: (work) => withSession(target, { applicationName: 'testdb seed' }, work),
  context: (query) => ({ url: formatUrl(target), query }),
})

const inProcess = (target: Pick<EmulationTarget, 'query'>): Place => ({
  use: (work) => work(target),
  context: (query) => withoutServer({ query }),
})

async function runFiles(files: readonly string[], place: Place, root: string): Promise<void> {
  const loader = createModuleLoader(root)
  for (const path of files) {
    const name = portableName(root, path)
    if (extname(path) === '.sql') await runSql(await readFile(path, 'utf8'), place, name)
    else await runFunction(await loadFunction(() => loader.load(path), name), place, name, name)
  }
}

async function loadFunction(load: () => Promise<unknown>, name: string): Promise<SeedFunction> {
  try {
    const loaded = (await load()) as { default?: unknown } | undefined
    const exported = loaded?.default ?? loaded
    if (typeof exported === 'function') return exported as SeedFunction
    throw new Error('its default export is not a function')
  } catch (error) {
    throw failure({ code: 'TESTDB_SEED_FAILED', name, error, file: name })
  }
}

async function runSql(sql: string, place: Place, name: string): Promise<void> {
  const text = sql.replace(/^\uFEFF/, '')
  await place.use(async (session) => {
    try {
      await session.query(text)
    } catch (error) {
      throw failure({ code: 'TESTDB_SEED_FAILED', name, error, sql: text, file: name })
    }
  })
}

async function runFunction(seed: SeedFunction, place: Place, name: string, file: string | undefined): Promise<void> {
  const recorder = new StatementRecorder()
  await place.use(async (session) => {
    try {
      await seed(place.context(recorder.wrap(session)))
    } catch (error) {
      if (isTestDbError(error)) throw error
      throw failure({ code: 'TESTDB_SEED_FAILED', name, error, sql: recorder.sqlOf(error), file })
    }
  })
}

function invalid(problem: string): TestDbError {
  return new TestDbError('TESTDB_CONFIG_INVALID', `seed: ${problem}`, { details: { key: 'seed' } })
}
