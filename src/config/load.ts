/** Finds the project and its configuration: `testdb.config.*` beside the nearest package.json, or that file's `testdb` key. */
import { existsSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { Module } from 'node:module'
import { basename, dirname, join, resolve } from 'node:path'
import { messageOf, TestDbError } from '../errors.ts'
import { publish } from '../events.ts'
import { hideCredentials } from './describe-value.ts'

const FILE_NAMES = ['ts', 'mts', 'js', 'mjs', 'cjs'].map((extension) => `testdb.config.${extension}`)

export interface LoadedConfig {
  /** What relative paths are taken from: the folder of the configuration file, or of the package.json. */
  readonly root: string
  readonly file: string | undefined
  /** Name for people: the package's, or the folder's. */
  readonly project: string
  /** As the user wrote it, not checked yet; undefined when there is none. */
  readonly config: unknown
}

/** `configFile` is taken from `cwd`; without it the project's own is looked for. */
export async function loadConfig(cwd: string, configFile?: string): Promise<LoadedConfig> {
  if (configFile !== undefined) {
    const file = resolve(cwd, configFile)
    await assertFile(file)
    const root = dirname(file)
    const { project } = await findProject(root)
    return { root, file, project, config: await importConfig(file) }
  }
  const { root, project, packageJson, config } = await findProject(resolve(cwd))
  const [file, ...others] = FILE_NAMES.map((name) => join(root, name)).filter(existsSync)
  if (file === undefined) return { root, file: config === undefined ? undefined : packageJson, project, config }
  const ignored = others.map((other) => basename(other))
  if (config !== undefined) ignored.push('the "testdb" key of package.json')
  if (ignored.length > 0) {
    publish('warning.raised', {
      message: `${file} is the configuration; ${ignored.join(' and ')} ${ignored.length > 1 ? 'are' : 'is'} ignored.`,
    })
  }
  return { root, file, project, config: await importConfig(file) }
}

interface Project {
  readonly root: string
  readonly project: string
  readonly packageJson: string | undefined
  /** The `testdb` key. */
  readonly config: unknown
}

/** The nearest folder at or above `from` with a package.json; `from` itself when there is none at all. */
async function findProject(from: string): Promise<Project> {
  for (let folder = from; ; folder = dirname(folder)) {
    const file = join(folder, 'package.json')
    if (existsSync(file)) return readProject(folder, file)
    if (dirname(folder) === folder)
      return { root: from, project: folderName(from), packageJson: undefined, config: undefined }
  }
}

async function readProject(root: string, file: string): Promise<Project> {
  let json: unknown
  try {
    json = JSON.parse((await readFile(file, 'utf8')).replace(/^\uFEFF/, ''))
  } catch (error) {
    throw loadFailed(file, error)
  }
  const { name, testdb } = (json ?? {}) as { readonly name?: unknown; readonly testdb?: unknown }
  // The scope stays: two packages of a monorepo may differ in nothing else.
  const project = typeof name === 'string' && name !== '' ? name.replace(/^@/, '') : folderName(root)
  return { root, project, packageJson: file, config: testdb }
}

async function importConfig(file: string): Promise<unknown> {
  try {
    // Loaded here and not above: most projects need no configuration file, and c12 is the slowest import of testdb.
    const c12 = await importC12()
    const root = dirname(file)
    const { config } = await c12.loadConfig({
      name: 'testdb',
      cwd: root,
      configFile: basename(file),
      configFileRequired: true,
      // Nothing but this one file, exactly as it is written: no merging, no other sources, no downloads.
      merger: (...sources) => sources.find((source) => source !== undefined) as Record<string, unknown>,
      envName: false,
      rcFile: false,
      globalRc: false,
      dotenv: false,
      extend: false,
      giget: false,
      packageJson: false,
      jitiOptions: {
        // Compiled code is kept only inside the project; jiti's other place is a folder that all users of a machine share.
        fsCache: existsSync(join(root, 'node_modules')),
      },
    })
    return config
  } catch (error) {
    throw loadFailed(file, error)
  }
}

/** Jest's sandbox can not load ES modules. What it has for `Module` inherits from Node's own, whose `require` takes them, too. */
async function importC12(): Promise<typeof import('c12')> {
  try {
    return await import('c12')
  } catch (error) {
    const native = Object.getPrototypeOf(Module) as Partial<typeof Module>
    if (!native.createRequire) throw error
    return native.createRequire(import.meta.url)('c12') as typeof import('c12')
  }
}

function loadFailed(file: string, error: unknown): TestDbError {
  // c12 reads `$meta` from whatever comes and so fails on `export default null` or a function without return.
  const empty = error instanceof TypeError && error.message.includes("'$meta'")
  const reason = empty
    ? 'it exports null or undefined; export an object, or a function that returns one'
    : hideCredentials(messageOf(error))
  return new TestDbError('TESTDB_CONFIG_LOAD_FAILED', `${file}: ${reason}`, { details: { file }, cause: error })
}

async function assertFile(file: string): Promise<void> {
  const found = await stat(file).catch(() => undefined)
  if (found?.isFile()) return
  throw new TestDbError('TESTDB_CONFIG_INVALID', `configFile: expected an existing file, got ${file}`, {
    details: { file },
    fixes: [
      'Correct the path, or leave it out.',
      'Run `npx testdb doctor` to see which configuration is found without it.',
    ],
  })
}

function folderName(folder: string): string {
  return basename(folder) || 'project'
}
