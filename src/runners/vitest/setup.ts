/**
 * `setupFiles: ['testdb/vitest/setup']`: leases the worker's database before the test file is imported, so that code which
 * reads `process.env.DATABASE_URL` while it loads finds it, and puts the database back after each test.
 */
import { afterAll, afterEach, beforeAll, beforeEach, inject } from 'vitest'
import { assertHeld } from '../held.ts'
import { Suites } from '../suites.ts'
import { enterFile, leaveFile } from '../worker.ts'
import { type Block, beforeHooksOf, pathOf } from './blocks.ts'
import { contextOf } from './injected.ts'
import { beforeWorkerEnds } from './worker-end.ts'

const { context, workerStays } = contextOf(inject('testdb'))
const database = await enterFile(context, { slot: process.env.VITEST_POOL_ID ?? String(process.pid) })
const suites = new Suites<Block>(database, ({ name }) => name)

// Registered before any hook of the test file. Not an arrow function: versions differ in where they pass the file.
beforeAll(async function enterBlocks() {
  // biome-ignore lint/complexity/noArguments: a parameter would be parsed as a request for fixtures.
  const file = [...arguments].find((one): one is Block => typeof one === 'object' && one !== null && 'filepath' in one)
  if (!file) throw new Error('bug: this version of Vitest does not say which file it runs')
  beforeHooksOf(file, (block) => suites.enter(pathOf(block)))
  await suites.enter([file])
})

beforeEach(async ({ task }) => {
  assertHeld(database)
  await suites.at(pathOf((task.suite ?? task.file) as Block))
})

// Run after all hooks of the test file: hooks are a stack.
afterEach(async ({ task }) => {
  await suites.leaveTest(task.name)
})

afterAll(async () => {
  await leaveFile(workerStays)
})

beforeWorkerEnds(() => leaveFile(false))
