/**
 * What globalSetup tells the workers: a file that the environment names, because Jest has no channel of its own and
 * environments are printed, while the runs' contexts have the admin's password.
 *
 * Jest calls a globalSetup once however many `projects` name it, so there is a run for each root, and a test file's own
 * path says which of them is its.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join, sep } from 'node:path'
import { CONTEXT_VARIABLE } from '../../databases/context.ts'
import { type ErrorCode, TestDbError } from '../../errors.ts'
import type { WorkerContext } from '../worker.ts'

export type Published =
  | { readonly root: string; readonly context: WorkerContext }
  /** A root without a run: a project whose tests may not want a database. They are told when they ask for one. */
  | { readonly root: string; readonly failed: { code: ErrorCode; what: string; fixes: readonly string[] } }

/** Writes the runs into the folder; returns what takes them back. */
export function publishRuns(runs: readonly Published[], folder: string): () => void {
  const file = join(folder, 'runs.json')
  writeFileSync(file, JSON.stringify(runs), { mode: 0o600 })
  process.env[CONTEXT_VARIABLE] = file
  return () => void delete process.env[CONTEXT_VARIABLE]
}

/** The run of the root that the test file lies in. Throws `TESTDB_RUN_MISSING` when the global set-up did not run. */
export function runOf(testFile: string): WorkerContext {
  const runs = publishedRuns()
  const inside = runs.filter(({ root }) => testFile.startsWith(root.endsWith(sep) ? root : root + sep))
  // The innermost root; tests that lie outside of all, by `roots` or `rootDir`, belong to the first.
  const found = inside.sort((a, b) => b.root.length - a.root.length)[0] ?? runs[0]
  if (found === undefined)
    throw new TestDbError('TESTDB_RUN_MISSING', 'the global set-up of testdb has published no run')
  if ('failed' in found) throw new TestDbError(found.failed.code, found.failed.what, { fixes: found.failed.fixes })
  return found.context
}

/** The run that every test file belongs to; undefined where that depends on the file. */
export function onlyRun(): WorkerContext | undefined {
  return publishedRuns().length > 1 ? undefined : runOf('')
}

function publishedRuns(): readonly Published[] {
  const file = process.env[CONTEXT_VARIABLE]
  if (!file) {
    throw new TestDbError('TESTDB_RUN_MISSING', `${CONTEXT_VARIABLE} is not set in this worker (pid ${process.pid})`)
  }
  return JSON.parse(readFileSync(file, 'utf8')) as Published[]
}
