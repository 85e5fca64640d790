/** Builds the CLI as the package does, into a folder of its own: another build of `dist` meanwhile does not disturb the tests. */
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { build } from 'tsdown'

const root = path.resolve(import.meta.dirname, '../..')

export interface BuiltCli {
  readonly file: string
  remove(): Promise<void>
}

export async function buildCli(): Promise<BuiltCli> {
  // Below the package, so that its dependencies and its package.json are found.
  const outDir = path.join(
    root,
    'node_modules',
    '.cache',
    'testdb-tests',
    `cli-${process.pid}-${process.env.VITEST_WORKER_ID ?? 0}`,
  )
  await build({
    config: false,
    cwd: root,
    entry: {
      cli: path.join(root, 'src/cli/main.ts'),
      supervisor: path.join(root, 'src/server/supervisor.ts'),
    },
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    outDir,
    clean: true,
    dts: false,
    logLevel: 'silent',
  })
  return { file: path.join(outDir, 'cli.mjs'), remove: () => rm(outDir, { recursive: true, force: true }) }
}
