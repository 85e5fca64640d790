/** What a run of this machine gets from the test server: the budget of `pools/budget.ts`, in words. */
import { availableParallelism } from 'node:os'
import type { ResolvedConfig } from '../../config/config.ts'
import {
  comfortOf,
  headroomOf,
  leastOf,
  maxConnectionsFor,
  type Need,
  type ServerConnections,
  type Share,
  shareOf,
  usableOf,
} from '../../pools/budget.ts'
import { connectionLimit } from '../../pools/limits.ts'
import { plural } from '../../report/format.ts'
import { needOf as needOfRun } from '../../run-budget.ts'
import { type Check, ok, warning, wrong } from './check.ts'
import type { Table } from './table.ts'
import { LEAST_POOL } from './what-if.ts'

export interface RunBudget extends ServerConnections {
  readonly headroom: number
  readonly usable: number
  readonly need: Need
  /** What a run gets; null when not even the least fits. */
  readonly share: Share | null
  readonly fits: 'comfortably' | 'squeezed' | 'not'
  /** Connections that the run can not do without. */
  readonly least: number
  /** The least `max_connections` with which it fits comfortably. */
  readonly fittingMaxConnections: number
}

/** As many workers as this machine would start at most. */
export const needOf = (config: ResolvedConfig): Need =>
  needOfRun(config, { slots: availableParallelism() * (1 + config.others.length) })

export function runBudget(server: ServerConnections, need: Need): RunBudget {
  const usable = usableOf(server)
  const share = shareOf(usable, need) ?? null
  const comfort = comfortOf(need)
  return {
    ...server,
    headroom: headroomOf(server.maxConnections),
    usable,
    need,
    share,
    fits: share === null ? 'not' : usable >= comfort ? 'comfortably' : 'squeezed',
    least: leastOf(need),
    fittingMaxConnections: maxConnectionsFor(comfort, server),
  }
}

export function budgetTables(budget: RunBudget): Table[] {
  const { share, need } = budget
  const workers = ['workers', need.slots, 'at most, on this machine'] as const
  const fitting = ['fits from', budget.fittingMaxConnections, 'max_connections'] as const
  return [
    {
      title: 'server',
      rows: [
        ['max_connections', budget.maxConnections],
        ['reserved', budget.reserved, 'superuser_reserved_connections and reserved_connections'],
        ['others', budget.foreign, 'sessions that are not of testdb'],
        ['headroom', budget.headroom, '10 %'],
        ['usable', budget.usable],
      ],
    },
    {
      title: 'run',
      rows:
        share === null
          ? [workers, ['pool.max', need.poolMax], ['needed', budget.least, 'at least'], fitting]
          : [
              workers,
              ['pool.max', share.poolMax],
              ...(need.leased ? [['limit', share.connectionLimit, 'connections to each database'] as const] : []),
              ['connections', share.connections, 'in all'],
              fitting,
            ],
    },
  ]
}

/** With the numbers, for the report that has no table. */
export function connectionsCheck(budget: RunBudget): Check {
  const { maxConnections, reserved, foreign, headroom, usable } = budget
  const numbers = `max_connections ${maxConnections} − ${reserved} reserved − ${foreign} of others − ${headroom} headroom = ${usable} usable`
  const { status, message, fixes } = verdict(budget)
  return { id: 'connections', status, message: `${message}: ${numbers}`, fixes }
}

/** For the report whose table has the numbers. */
export function verdict(budget: RunBudget): Check {
  const { need, share, fits, least, usable } = budget
  const run = `a run of ${plural(need.slots, 'worker')}`
  if (share === null) {
    const what = `${run} does not fit, it needs ${least} connections at least and the server can give ${usable}`
    return wrong('connections', what, ...fixesFor(budget))
  }
  const gets = `pool.max ${share.poolMax} and ${share.connections} connections in all`
  if (fits === 'comfortably') return ok('connections', `${run} fits comfortably, with ${gets}`)
  const how =
    share.connectionLimit < connectionLimit(share.poolMax) && need.leased
      ? 'is squeezed, to'
      : 'fits with smaller pools:'
  return warning('connections', `${run} ${how} ${gets}`, ...fixesFor(budget))
}

function fixesFor({ need, usable, fittingMaxConnections }: RunBudget): string[] {
  const smaller = comfortableMax(usable, need)
  return [
    ...(smaller === undefined ? [] : [`Set \`pool: { max: ${smaller} }\`.`]),
    `Set max_connections = ${fittingMaxConnections} on the server (needs a restart).`,
    'Or start fewer workers (maxWorkers of the runner).',
  ]
}

/** The largest pool that is not squeezed; undefined when that is none, or when the pool fits itself to the server. */
function comfortableMax(usable: number, need: Need): number | undefined {
  if (need.poolMax === 'auto') return undefined
  for (let poolMax = need.poolMax; poolMax >= LEAST_POOL; poolMax--) {
    if (comfortOf({ ...need, poolMax }) <= usable) return poolMax
  }
  return undefined
}
