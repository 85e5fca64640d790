/** `plugins: [testdb()]` from 'testdb/vitest/plugin': one line instead of globalSetup and setup file. */
import { fileURLToPath } from 'node:url'
import type { Plugin } from 'vitest/config'

/**
 * Adds testdb's globalSetup and setup file to the project it is used in; what the project has of its own stays and runs before.
 *
 * @example
 * import testdb from 'testdb/vitest/plugin'
 * export default defineConfig({ plugins: [testdb()] })
 */
export default function testdb(): Plugin {
  return {
    name: 'testdb',
    // Not the `config` hook: what it returns does not reach the setupFiles of projects in Vitest 5.
    configureVitest({ project }) {
      const { config } = project
      config.globalSetup = withOurs(config.globalSetup, entry('vitest'))
      config.setupFiles = [...new Set([entry('vitest-setup'), ...[config.setupFiles ?? []].flat()])]
    },
  }
}

/** Ours runs last: another globalSetup may start the server that TESTDB_URL names. */
function withOurs(theirs: string | string[] | undefined, ours: string): string[] {
  return [...new Set([...[theirs ?? []].flat(), ours])]
}

const entry = (name: string): string => fileURLToPath(new URL(`./${name}.mjs`, import.meta.url))
