/**
 * Vitest's globalSetup for tests of the core: one private Postgres for the whole run, `inject('server')` is its admin.
 * It is started only when a test that needs it is about to run, and shared by all projects.
 */
import type { TestProject } from 'vitest/node'
import type { ConnectionTarget } from '../../src/postgres/index.ts'
import { type PrivatePostgres, startPrivatePostgres } from './private-postgres.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    server: ConnectionTarget
  }
}

const CORE = /\/test\/(postgres|coordination|templates|databases|pools|locks|notify|load)\//

// Each project loads this file for itself.
const SHARED = Symbol.for('testdb.test.server')
const store = globalThis as { [SHARED]?: { server: Promise<PrivatePostgres>; users: number } | undefined }

export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  // Not in the types; without it the server is started once too often.
  const { filenamePattern } = project.vitest as { filenamePattern?: string[] | undefined }
  const { testFiles } = await project.globTestFiles(filenamePattern)
  if (!testFiles.some((file) => CORE.test(file))) return undefined
  store[SHARED] ??= { server: startPrivatePostgres(), users: 0 }
  const shared = store[SHARED]
  shared.users += 1
  project.provide('server', (await shared.server).admin)
  return async () => {
    shared.users -= 1
    if (shared.users > 0) return
    store[SHARED] = undefined
    await (await shared.server).stop()
  }
}
