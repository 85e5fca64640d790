/** The pools of every environment of the project's knexfile: too small, too large, or without time limits. */
import path from 'node:path'
import type { ResolvedConfig } from '../../config/config.ts'
import { isTestDbError, messageOf } from '../../errors.ts'
import { usesPostgres } from '../../migrators/knex-project.ts'
import type { KnexConfig } from '../../migrators/knex-types.ts'
import { findKnexfile, type KnexEnvironment, readEnvironments } from '../../migrators/knexfile.ts'
import { createModuleLoader } from '../../migrators/module-loader.ts'
import { DEFAULT_LIMITS } from '../../pools/limits.ts'
import { oneLine } from '../../report/format.ts'
import { type Check, ok, skipped, warning } from './check.ts'
import { missingLimits } from './knex-limits.ts'
import { LEAST_POOL, type WhatIf, type WhatIfQuestion, whatIf } from './what-if.ts'
import { openedBy } from './what-if-checks.ts'

/** Source: Knex 2 and 3, lib/client.js, poolDefaults. */
const KNEX_POOL = { min: 2, max: DEFAULT_LIMITS.max } as const

/** None without a knexfile. Warnings at most: testdb itself uses none of these pools. */
export async function checkKnexPools(config: ResolvedConfig, question: WhatIfQuestion): Promise<Check[]> {
  const { configFile } = config.migrator ?? {}
  if (configFile === false) return []
  const file = configFile === undefined ? findKnexfile(config.root) : path.resolve(config.root, configFile)
  if (file === undefined) return []
  const name = path.relative(config.root, file)
  try {
    const environments = await readEnvironments(file, createModuleLoader(config.root))
    return environments.map((one) => checkEnvironment(name, one, question))
  } catch (error) {
    return [warning('pool', `the pools of ${name} are not known: ${withoutSecrets(error)}`)]
  }
}

export function checkEnvironment(file: string, { name, found }: KnexEnvironment, question: WhatIfQuestion): Check {
  const id = name === undefined ? 'pool' : `pool.${name}`
  const where = name === undefined ? file : `${file}, ${name}`
  if (found === 'function') return skipped(id, `${where}: a function, not looked at`)
  if ('error' in found) return warning(id, `${where}: can not be read: ${withoutSecrets(found.error)}`)
  const { config } = found
  if (!usesPostgres(config)) return skipped(id, `${where}: not Postgres, not looked at`)
  if (config.connectionPool) return skipped(id, `${where}: brings a pool of its own, not looked at`)
  if (!('connection' in config) && !('pool' in config)) return skipped(id, `${where}: no connection, so no pool`)
  const { problems, fixes, size } = checkSize(config, question)
  const limits = missingLimits(config)
  const all = [...problems, ...limits.map(({ what }) => what)]
  const message = `${where}: pool of ${size}`
  if (all.length === 0) return ok(id, message)
  return warning(id, `${message}: ${all.join('; ')}`, ...fixes, ...limits.map(({ fix }) => fix))
}

interface Size {
  /** `2 to 10`. */
  readonly size: string
  readonly problems: string[]
  readonly fixes: string[]
}

function checkSize({ pool = {} }: KnexConfig, question: WhatIfQuestion): Size {
  const min: unknown = pool.min ?? KNEX_POOL.min
  const max: unknown = pool.max ?? KNEX_POOL.max
  const size = `${show(min)} to ${show(max)}`
  if (!isWhole(min) || !isWhole(max)) {
    const fixes = ['pool: { min: 0, max: Number(…) }']
    return { size, problems: ['Knex takes whole numbers only and throws'], fixes }
  }
  const answer = whatIf({ ...question, pool: max })
  const { load, server } = answer
  const problems: string[] = []
  let fitting = max
  if (load !== null && load.missing > 0) {
    problems.push(`too small for the load of ${load.needed} (${openedBy({ ...answer, lockPool: null })})`)
    fitting = load.fittingPool
  } else if (max < LEAST_POOL) {
    problems.push('a query beside an open transaction waits for ever (deadlock)')
    fitting = LEAST_POOL
  }
  if (server.missing > 0) {
    problems.push(tooLarge(answer))
    fitting = server.fittingPool ?? fitting
  }
  if (min > max) {
    const whose = pool.min === undefined ? " (Knex' default)" : ''
    problems.push(`min ${min}${whose} is above max ${max}, which Knex refuses`)
  }
  const fixes = problems.length === 0 ? [] : [`pool: { min: 0, max: ${fitting} }`]
  const then = whatIf({ ...question, pool: fitting }).server
  if (then.missing > 0 && then.fittingMaxConnections !== null)
    fixes.push(`Set max_connections = ${then.fittingMaxConnections} on the server.`)
  return { size, problems, fixes }
}

function tooLarge(answer: WhatIf): string {
  const { opened, usable, maxConnections, origin } = answer.server
  return `too large: ${openedBy(answer)} = ${opened}, and max_connections ${maxConnections} (${origin}) gives ${usable}`
}

const isWhole = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 0
const show = (value: unknown): string => {
  if (typeof value === 'number') return String(value)
  return typeof value === 'string' ? 'a text' : `a value of type ${typeof value}`
}

/** The knexfile's own words, with everything that could be the credentials of a URL left out. */
function withoutSecrets(error: unknown): string {
  const words = isTestDbError(error) ? error.what : messageOf(error)
  return oneLine(words).replace(/:\/\/\S*@/g, '://…@')
}
