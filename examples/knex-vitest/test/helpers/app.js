import { afterAll, beforeAll } from 'vitest'
import { buildApp } from '../../src/app.js'
import { createDb } from '../../src/db.js'
import { apiClient } from './api.js'

/**
 * The application on its own pool, opened once per test file.
 * Rows are a matter of the single test: after each of them testdb puts the database back.
 */
export function useApp() {
  const context = {}

  beforeAll(async () => {
    context.db = createDb()
    context.app = await buildApp({ db: context.db })
    context.anonymous = apiClient(context.app)
  })

  afterAll(async () => {
    await context.app?.close()
    await context.db?.destroy()
  })

  return context
}

/** Only the pool, for tests of repositories and of the database itself. */
export function useDb() {
  const context = {}

  beforeAll(() => {
    context.db = createDb()
  })

  afterAll(async () => {
    await context.db?.destroy()
  })

  return context
}
