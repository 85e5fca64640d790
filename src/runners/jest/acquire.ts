/**
 * `setupFiles: ['testdb/jest/acquire']` (part of `preset: 'testdb'`): leases the worker's database and points the environment
 * at it, before the test framework and the test file are loaded.
 *
 * Jest 29 needs it: there functions that a file exports are awaited for `setupFiles` only. What it can not know so early is
 * the test file, so where there are runs of several roots it leaves the choice to `testdb/jest/setup`.
 */
import { enterFile } from '../worker.ts'
import { onlyRun } from './published.ts'

export default async function acquire(): Promise<void> {
  const context = onlyRun()
  if (context === undefined || context.scope === 'test') return
  const database = await enterFile(context, { slot: process.env.JEST_WORKER_ID ?? String(process.pid) })
  // A file that throws while it is loaded runs no hook at all; its lease ends with the process, which it must not keep alive.
  for (const { lease } of database.all) lease?.session.unref()
}
