/** How many databases the workers of a Vitest run have in use at the same time. */
import { availableParallelism } from 'node:os'
import type { TestProject } from 'vitest/node'
import type { Scope } from '../../databases/context.ts'
import type { Workers } from '../../run-budget.ts'

/** The keys that count, in all supported versions. */
interface PoolConfig {
  readonly watch?: boolean
  readonly pool?: string
  readonly maxWorkers?: number | string
  readonly maxConcurrency?: number
  readonly fileParallelism?: boolean
  readonly poolOptions?: Readonly<
    Record<
      string,
      {
        readonly maxForks?: number
        readonly maxThreads?: number
        readonly singleFork?: boolean
        readonly singleThread?: boolean
      }
    >
  >
}

/** With `scope: 'test'` each of the tests that a worker runs at the same time has one. A run in watch mode stays. */
export function workersOf(project: TestProject, scope: Scope): Workers {
  const { maxConcurrency = 5 } = project.config as PoolConfig
  return {
    slots: maxWorkersOf(project),
    concurrency: scope === 'test' ? maxConcurrency : 1,
    lasting: project.vitest.config.watch === true,
  }
}

/**
 * Vitest 5 always says the number. 4 says it when it was set, and 3 has a number for each kind of pool, which run beside each
 * other; what was not set is computed as they do.
 */
export function maxWorkersOf(project: TestProject): number {
  const { vitest } = project
  const root = vitest.config as PoolConfig
  const projects = vitest.projects.length > 0 ? vitest.projects : [project]
  if (!vitest.version.startsWith('3.')) {
    const counts = projects.map(({ config }) => count((config as PoolConfig).maxWorkers ?? root.maxWorkers, root))
    return Math.max(1, ...counts)
  }
  const kinds = new Set(projects.map(({ config }) => (config as PoolConfig).pool ?? 'forks'))
  return [...kinds].reduce((sum, kind) => sum + ofKind(kind, root), 0)
}

function ofKind(kind: string, root: PoolConfig): number {
  const options = root.poolOptions?.[kind]
  if (options?.singleFork || options?.singleThread || root.fileParallelism === false) return 1
  return count(options?.maxForks ?? options?.maxThreads ?? root.maxWorkers, root)
}

function count(value: number | string | undefined, { watch }: PoolConfig): number {
  const processors = availableParallelism()
  if (typeof value === 'string' && value.endsWith('%')) {
    return Math.max(1, Math.round((Number.parseFloat(value) / 100) * processors))
  }
  const number = Number(value)
  if (value !== undefined && number >= 1) return Math.floor(number)
  return watch ? Math.max(Math.floor(processors / 2), 1) : Math.max(processors - 1, 1)
}
