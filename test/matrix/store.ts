/**
 * Where the versions lie that the repository does not have: one folder per Node, and one home per set of packages.
 * They are kept for the next run; TESTDB_MATRIX_HOME names another place.
 */
import { createHash } from 'node:crypto'
import { chmod, mkdir, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import path from 'node:path'
import { execa } from 'execa'
import { installHome, PEERS, type Versions, versionOf } from '../e2e/install.ts'

const repository = path.resolve(import.meta.dirname, '../..')
const NODE_PACKAGE = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`

export async function openStore(): Promise<string> {
  const wanted = process.env.TESTDB_MATRIX_HOME ?? path.join(tmpdir(), `testdb-matrix-${userInfo().username}`)
  await mkdir(wanted, { recursive: true })
  if (process.getuid && (await stat(wanted)).uid !== process.getuid()) throw new Error(`${wanted} is somebody else's`)
  // Postgres may run as another user, who must be able to pass through.
  await chmod(wanted, 0o755)
  return await realpath(wanted)
}

/** Installs that Node unless it is there; returns the folder to put on the PATH. */
export async function installNode(store: string, version: string): Promise<string> {
  const folder = path.join(store, `node-${version}`)
  const bin = path.join(folder, 'node_modules', NODE_PACKAGE, 'bin')
  // Some of these packages say `v22.12.0`.
  const found = (await versionOf(folder, NODE_PACKAGE))?.replace(/^v/, '')
  await once(folder, found === version, async () => {
    await writeFile(path.join(folder, 'package.json'), '{"private":true}')
    const options = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts']
    await execa('npm', ['install', ...options, `${NODE_PACKAGE}@${version}`], { cwd: folder, timeout: 240_000 })
  })
  const { stdout } = await execa(path.join(bin, 'node'), ['-p', 'process.versions.node'])
  if (stdout !== version) throw new Error(`${bin} is Node ${stdout}, not ${version}`)
  return bin
}

/** Installs the packed package with that set beside it, unless it is there; returns the home. */
export async function installSet(store: string, versions: Versions): Promise<string> {
  const { dependencies } = JSON.parse(await readFile(path.join(repository, 'package.json'), 'utf8'))
  const id = createHash('sha256')
    .update(JSON.stringify([versions, dependencies]))
    .digest('hex')
    .slice(0, 8)
  // The space is for code that forgets about them.
  const home = path.join(store, `home ${PEERS.map((name) => versions[name]).join('_')} ${id}`)
  await once(home, await matches(home, versions), () => installHome(home, versions))
  if (!(await matches(home, versions))) throw new Error(`${home} has other versions than ${JSON.stringify(versions)}`)
  return home
}

async function matches(home: string, versions: Versions): Promise<boolean> {
  const found = await Promise.all(PEERS.map((name) => versionOf(home, name)))
  return PEERS.every((name, index) => found[index] === versions[name])
}

/** A folder that is not complete is made again: an installation may have been interrupted. */
async function once(folder: string, complete: boolean, make: () => Promise<void>): Promise<void> {
  if (complete) return
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  try {
    await make()
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw error
  }
}
