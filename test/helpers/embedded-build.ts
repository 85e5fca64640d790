/**
 * Builds the embedded server for processes that run without Vitest (actors, other users, the supervisor itself), into a
 * folder of its own: the tests need no `dist`, and a build of it meanwhile does not disturb them.
 */
import path from 'node:path'
import { build } from 'tsdown'

const root = path.resolve(import.meta.dirname, '../..')

/** Folder of `embedded.mjs` and `supervisor.mjs`; below the package, so that their dependencies are found. */
export async function buildEmbedded(): Promise<string> {
  const outDir = path.join(root, 'node_modules', '.cache', 'testdb-tests', `embedded-${process.pid}`)
  await build({
    config: false,
    cwd: root,
    entry: {
      embedded: path.join(root, 'src/server/embedded/index.ts'),
      supervisor: path.join(root, 'src/server/embedded/supervisor.ts'),
    },
    format: 'esm',
    platform: 'node',
    outDir,
    clean: true,
    dts: false,
    logLevel: 'silent',
  })
  return outDir
}
