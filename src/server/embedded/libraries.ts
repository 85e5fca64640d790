/**
 * Makes the binaries runnable for whoever runs them, without writing to node_modules.
 *
 * The packages make their library links (`libicuuc.so.60` → `libicuuc.so.60.2`) in a postinstall script, which newer package
 * managers do not run. Missing links are made in our cache and put on the library path. Binaries that the Postgres account
 * can not read or execute (below /root, or installed with umask 077), or whose path has an odd character, are copied to the
 * cache once.
 *
 * Both are made under a temporary name and renamed, so a process that dies here leaves no half copy that looks complete.
 */
import { existsSync, readFileSync } from 'node:fs'
import { chmod, cp, lstat, mkdir, readdir, rename, rm, symlink } from 'node:fs/promises'
import path from 'node:path'
import { errnoOf } from '../owned/folders.ts'
import { type Account, canReach, ENTER, READ } from './account.ts'
import type { Binaries } from './binaries.ts'
import { isOdd, type Layout, shortHash } from './locations.ts'

export interface Runnable {
  /** Folder with `initdb`, `postgres` and `pg_ctl`. */
  readonly bin: string
  /** What the library path of their processes must be; undefined when nothing is missing. */
  readonly libraryPath: string | undefined
}

interface Link {
  /** Both relative to the folder of the package. */
  readonly source: string
  readonly target: string
}

export async function makeRunnable(
  binaries: Binaries,
  account: Account | undefined,
  layout: Layout,
): Promise<Runnable> {
  if (isOdd(binaries.native) || (account !== undefined && !accountCanRun(binaries.native, account))) {
    const native = await copyBinaries(binaries, layout)
    return { bin: path.join(native, 'bin'), libraryPath: undefined }
  }
  const bin = path.join(binaries.native, 'bin')
  const missing = linksOf(binaries.native).filter((link) => !existsSync(inPackage(binaries.native, link.target)))
  if (missing.length === 0) return { bin, libraryPath: undefined }
  // The binaries' own RUNPATH comes after the library path, so the folder of the links alone would lose the other libraries.
  const folder = await makeLinks(binaries, missing, layout)
  return { bin, libraryPath: [folder, path.join(binaries.native, 'lib')].join(path.delimiter) }
}

/** The name of the variable that the dynamic linker reads. */
export function libraryEnvironment(libraryPath: string | undefined): Record<string, string> {
  if (libraryPath === undefined) return {}
  return { [process.platform === 'darwin' ? 'DYLD_LIBRARY_PATH' : 'LD_LIBRARY_PATH']: libraryPath }
}

function linksOf(native: string): readonly Link[] {
  const file = path.join(native, 'pg-symlinks.json')
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Link[]) : []
}

function inPackage(native: string, relative: string): string {
  return path.join(path.dirname(native), relative)
}

/** One file or folder of each kind stands for its neighbours: a package is installed with one umask. */
function accountCanRun(native: string, account: Account): boolean {
  const program = canReach(path.join(native, 'bin', 'postgres'), account, READ | ENTER)
  const libraries = canReach(path.join(native, 'lib'), account, READ | ENTER)
  const share = path.join(native, 'share', 'postgresql', 'postgres.bki')
  return program && libraries && (!existsSync(share) || canReach(share, account, READ))
}

async function makeLinks(binaries: Binaries, links: readonly Link[], layout: Layout): Promise<string> {
  const name = `lib-${binaries.packageVersion}-${shortHash(`${binaries.native}\n${JSON.stringify(links)}`)}`
  return await makeOnce(path.join(layout.folder, name), async (folder) => {
    await mkdir(folder)
    for (const { source, target } of links) {
      await symlink(inPackage(binaries.native, source), path.join(folder, path.basename(target)))
    }
    await chmod(folder, 0o755)
  })
}

async function copyBinaries(binaries: Binaries, layout: Layout): Promise<string> {
  const name = `native-${binaries.packageVersion}-${shortHash(binaries.native)}`
  return await makeOnce(path.join(layout.folder, name), async (folder) => {
    // Static libraries are a fifth of the package and nothing that runs needs them; links are made from the list below.
    await cp(binaries.native, folder, {
      recursive: true,
      filter: async (file) => !file.endsWith('.a') && !(await lstat(file)).isSymbolicLink(),
    })
    await openUp(folder)
    for (const { source, target } of linksOf(binaries.native)) {
      const at = path.join(folder, path.relative('native', target))
      await symlink(path.relative(path.dirname(target), source), at)
    }
  })
}

/** Whatever the umask of the installation was: everybody may read and run the copy; it holds nothing secret. */
async function openUp(folder: string): Promise<void> {
  await chmod(folder, 0o755)
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name)
    const executable = entry.isDirectory() || path.basename(entry.parentPath) === 'bin'
    await chmod(file, executable ? 0o755 : 0o644)
  }
}

async function makeOnce(folder: string, make: (temporary: string) => Promise<void>): Promise<string> {
  if (existsSync(folder)) return folder
  // The caller holds the start lock: whoever made these is dead.
  const parent = path.dirname(folder)
  const leftovers = (await readdir(parent)).filter((name) => name.startsWith(`${path.basename(folder)}.new-`))
  for (const name of leftovers) await rm(path.join(parent, name), { recursive: true, force: true })
  const temporary = `${folder}.new-${process.pid}-${Date.now()}`
  try {
    await make(temporary)
    await rename(temporary, folder)
  } catch (error) {
    await rm(temporary, { recursive: true, force: true })
    // Somebody else has finished first; what is there is the same.
    if (errnoOf(error) !== 'ENOTEMPTY' && errnoOf(error) !== 'EEXIST') throw error
  }
  return folder
}
