/**
 * Vitest's globalSetup for tests of the core: one private Postgres for the whole run, `inject('server')` is its admin.
 * It is started only when a test that needs it is about to run, and shared by all projects.
 */
import type { ConnectionTarget } from '../../src/postgres/index.ts'
import { startPrivatePostgres } from './private-postgres.ts'
import { sharedSetup } from './shared-setup.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    server: ConnectionTarget
  }
}

export default sharedSetup({
  name: 'server',
  needed: /\/test\/(postgres|coordination|templates|databases|pools|locks|notify|load)\//,
  open: () => startPrivatePostgres(),
  provide: (project, { admin }) => project.provide('server', admin),
  close: (server) => server.stop(),
})
