/** A private Postgres for tests that need a server and databases, but nothing of testdb on them. */
import { type ConnectionTarget, cloneStrategy, ident, withSession } from '../../src/postgres/index.ts'
import { binaries } from './packages.ts'
import { startPrivatePostgres } from './private-postgres.ts'

export interface TestServer {
  readonly admin: ConnectionTarget
  createDatabase(): Promise<ConnectionTarget>
  stop(): Promise<void>
}

export async function startTestServer(): Promise<TestServer> {
  const { admin, stop } = await startPrivatePostgres()
  let count = 0
  return {
    admin,
    async createDatabase() {
      const database = `plain_${++count}`
      await withSession(admin, { applicationName: 'test' }, (session) =>
        session.query(`create database ${ident(database)} template template0 ${cloneStrategy(binaries.major)}`),
      )
      return { ...admin, database }
    },
    stop,
  }
}
