import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import { buildApp } from '../../src/app.js'
import { createDb } from '../../src/db.js'
import { apiClient } from './api.js'

/** With `scope: 'test'` each test has a database of its own, so what is opened on it lives as long as the test. */
const [open, close] = process.env.TESTDB_SCOPE === 'test' ? [beforeEach, afterEach] : [beforeAll, afterAll]

/**
 * The application on its own pool, opened once per test file.
 * Rows are a matter of the single test: after each of them testdb puts the database back.
 */
export function useApp() {
  const context = {}

  open(async () => {
    context.db = createDb()
    context.app = await buildApp({ db: context.db })
    context.anonymous = apiClient(context.app)
  })

  close(async () => {
    await context.app?.close()
    await context.db?.destroy()
  })

  return context
}

/** Only the pool, for tests of repositories and of the database itself. */
export function useDb() {
  const context = {}

  open(() => {
    context.db = createDb()
  })

  close(async () => {
    await context.db?.destroy()
  })

  return context
}
