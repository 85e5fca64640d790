/**
 * `setupFiles: ['testdb/vitest/setup']`: leases the worker's database before the test file is imported, so that code which
 * reads `process.env.DATABASE_URL` while it loads finds it, and puts the database back after each test.
 */
import { afterAll, afterEach, beforeEach, inject } from 'vitest'
import { assertHeld } from '../held.ts'
import { enterFile, leaveFile } from '../worker.ts'
import { contextOf } from './injected.ts'
import { beforeWorkerEnds } from './worker-end.ts'

const { context, workerStays } = contextOf(inject('testdb'))
const database = await enterFile(context, { slot: process.env.VITEST_POOL_ID ?? String(process.pid) })

beforeEach(() => assertHeld(database))

// Registered before any hook of the test file and run after them all: hooks are a stack.
afterEach(async () => {
  await database.reset()
})

afterAll(async () => {
  await leaveFile(workerStays)
})

beforeWorkerEnds(() => leaveFile(false))
