/** A globalSetup of Vitest whose value all projects of a run share. It is made only when a test that needs it is about to run. */
import type { TestProject } from 'vitest/node'

interface Shared<T> {
  /** Tells it from others: each project loads these files for itself. */
  readonly name: string
  /** Matches the paths of the test files that need it. */
  readonly needed: RegExp
  open(): Promise<T>
  provide(project: TestProject, value: T): void
  /** When the last project has ended. */
  close(value: T): Promise<void> | void
}

export function sharedSetup<T>({ name, needed, open, provide, close }: Shared<T>) {
  const key = Symbol.for(`testdb.test.${name}`)
  const store = globalThis as { [key]?: { value: Promise<T>; users: number } | undefined }
  return async (project: TestProject): Promise<(() => Promise<void>) | undefined> => {
    // Not in the types; without it everything is made for every test.
    const { filenamePattern } = project.vitest as { filenamePattern?: string[] | undefined }
    const { testFiles } = await project.globTestFiles(filenamePattern)
    if (!testFiles.some((file) => needed.test(file))) return undefined
    store[key] ??= { value: open(), users: 0 }
    const shared = store[key]
    shared.users += 1
    provide(project, await shared.value)
    return async () => {
      shared.users -= 1
      if (shared.users > 0) return
      store[key] = undefined
      await close(await shared.value)
    }
  }
}
