/** The package managers of the installation tests, installed once and kept for the next run, as their downloads are. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { execa } from 'execa'

const CACHE = path.resolve(import.meta.dirname, '../../../node_modules/.cache/testdb-installs')
const NODE_PACKAGE = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`
/** npm 12 and pnpm 11 do not run on every Node that testdb does. */
const TOOLS = {
  node: `npm:${NODE_PACKAGE}@22.23.3`,
  npm: '12.2.0',
  pnpm10: 'npm:pnpm@10.34.9',
  pnpm11: 'npm:pnpm@11.28.11',
  pnpm12: 'npm:pnpm@12.21.0',
} as const

export interface Managers {
  /** Folder of the Node that runs them, for the PATH. */
  readonly nodeBin: string
  /** Arguments of `node`. */
  readonly npm: readonly string[]
  pnpm(major: 10 | 11 | 12): string
  /** Options of pnpm's commands that install. */
  readonly store: readonly string[]
}

export async function installManagers(): Promise<Managers> {
  const folder = path.join(
    CACHE,
    Object.values(TOOLS)
      .join('_')
      .replace(/[^\w.]+/g, '-'),
  )
  const complete = path.join(folder, 'complete')
  if (!existsSync(complete)) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ private: true, dependencies: TOOLS }))
    const args = ['install', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts']
    await execa('npm', args, { cwd: folder, timeout: 240_000 })
    writeFileSync(complete, '')
  }
  const modules = path.join(folder, 'node_modules')
  return {
    nodeBin: path.join(modules, 'node', 'bin'),
    npm: [path.join(modules, 'npm', 'bin', 'npm-cli.js'), '--prefer-offline', '--no-audit', '--no-fund'],
    pnpm: (major) => path.join(modules, `pnpm${major}`, 'bin', major === 10 ? 'pnpm.cjs' : 'pnpm.mjs'),
    store: ['--store-dir', path.join(CACHE, 'pnpm-store'), '--prefer-offline'],
  }
}
