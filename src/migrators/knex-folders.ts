/** Lists migrations and seeds in the order, and under the names, that Knex gives them; loads them with our loader. */
import { readdir } from 'node:fs/promises'
import { basename, extname, join, resolve } from 'node:path'
import type { KnexFolderOptions, KnexMigrationSource, KnexSeedSource, KnexSeedsOptions } from './knex-types.ts'
import type { ModuleLoader } from './module-loader.ts'

/** Knex's own defaults. It ignores `.mjs`, `.mts` and `.cts` unless they are listed, and so do we: what it ignores in production must not run in tests. */
export const KNEX_EXTENSIONS: readonly string[] = [
  ...['.co', '.coffee', '.eg', '.iced', '.js', '.cjs', '.litcoffee', '.ls', '.ts'],
]

export interface Folders {
  /** Absolute. */
  readonly directories: readonly string[]
  readonly extensions: readonly string[]
  readonly sortDirsSeparately: boolean
}

export function foldersOf(options: KnexFolderOptions, base: string, fallback: string): Folders {
  return {
    directories: [options.directory ?? fallback].flat().map((directory) => resolve(base, directory)),
    extensions: options.loadExtensions ?? KNEX_EXTENSIONS,
    sortDirsSeparately: options.sortDirsSeparately ?? false,
  }
}

export interface ScriptFile {
  /** What Knex records: the file name with its extension, without folders. */
  readonly file: string
  readonly path: string
}

/** Declarations have no code; Knex would try to run them. */
const isScript = (file: string, extensions: readonly string[]): boolean =>
  extensions.includes(extname(file)) && !/\.d\.[cm]?ts$/.test(file)

const byName = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

export async function listMigrations(folders: Folders): Promise<ScriptFile[]> {
  const perFolder = await Promise.all(
    folders.directories.map(async (directory) => {
      const entries = await readdir(directory, { withFileTypes: true })
      const files = entries.filter((entry) => !entry.isDirectory() && isScript(entry.name, folders.extensions))
      const named = files.map(({ name }) => ({ file: name, path: join(directory, name) }))
      return named.sort((a, b) => byName(a.file, b.file))
    }),
  )
  const all = perFolder.flat()
  return folders.sortDirsSeparately ? all : all.sort((a, b) => byName(a.file, b.file))
}

export async function listSeeds(folders: Folders, options: KnexSeedsOptions): Promise<string[]> {
  const perFolder = await Promise.all(folders.directories.map((directory) => pathsIn(directory, options.recursive)))
  let paths = perFolder.flat().filter((path) => isScript(path, folders.extensions))
  if (!folders.sortDirsSeparately) paths = paths.sort(byName)
  if (!options.specific) return paths
  const specific = paths.filter((path) => basename(path) === options.specific)
  if (specific.length === 0) throw new Error(`the specific seed "${options.specific}" does not exist`)
  return specific
}

/** Folders and files of one level are sorted together, as Knex does; that decides with `sortDirsSeparately`. */
async function pathsIn(directory: string, recursive = false): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true })
  const paths: string[] = []
  for (const entry of entries.sort((a, b) => byName(a.name, b.name))) {
    const path = join(directory, entry.name)
    if (!entry.isDirectory()) paths.push(path)
    else if (recursive) paths.push(...(await pathsIn(path, true)))
  }
  return paths
}

export function folderMigrations(folders: Folders, loader: ModuleLoader): KnexMigrationSource {
  return {
    getMigrations: () => listMigrations(folders),
    getMigrationName: (migration) => (migration as ScriptFile).file,
    getMigration: (migration) => loader.load((migration as ScriptFile).path),
  }
}

export function folderSeeds(folders: Folders, options: KnexSeedsOptions, loader: ModuleLoader): KnexSeedSource {
  return {
    getSeeds: () => listSeeds(folders, options),
    getSeed: (path) => loader.load(path as string),
  }
}
