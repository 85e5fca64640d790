import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { onTestFinished } from 'vitest'
import { isTestDbError, type TestDbError } from '../../src/errors.ts'
import { subscribe } from '../../src/events.ts'

/** Writes files into a new folder that goes with the test; objects become JSON. */
export async function project(files: Record<string, string | object>): Promise<string> {
  const root = await realpath(await mkdtemp(join(tmpdir(), 'testdb-config-')))
  onTestFinished(() => rm(root, { recursive: true, force: true }))
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, name)), { recursive: true })
    await writeFile(join(root, name), typeof content === 'string' ? content : JSON.stringify(content))
  }
  return root
}

/** The messages of every warning from now on. */
export function warnings(): string[] {
  const messages: string[] = []
  onTestFinished(subscribe('warning.raised', ({ message }) => messages.push(message)))
  return messages
}

export async function errorOf(promise: Promise<unknown>): Promise<TestDbError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!isTestDbError(error)) throw new Error(`expected a TestDbError, got ${String(error)}`)
  return error
}
