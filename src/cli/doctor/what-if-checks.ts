/** What the arithmetic of `what-if.ts` means, as tables and as lines of the doctor. */
import { plural } from '../../report/format.ts'
import { type Check, ok, warning, wrong } from './check.ts'
import type { Table } from './table.ts'
import type { LoadAnswer, ServerAnswer, WhatIf } from './what-if.ts'

/** `poolGiven`: false where the pool is the usual default. */
export function loadTable({ load, pods, pool }: WhatIf & { load: LoadAnswer }, poolGiven: boolean): Table {
  const parts = [
    load.users > 0 ? plural(load.users, 'user') : '',
    load.background > 0 ? `${load.background} background` : '',
    load.maintenance > 0 ? `${load.maintenance} maintenance` : '',
  ].filter((part) => part !== '')
  const given = `${plural(pods, 'pod')} × pool ${pool}${poolGiven ? '' : ', the default of Knex and pg'}`
  return {
    title: 'load',
    rows: [
      ['needed', load.needed, parts.join(' + ')],
      ['given', load.given, given],
      load.missing > 0 ? ['missing', load.missing, formatPercent(load)] : ['spare', load.given - load.needed],
    ],
  }
}

export function serverTable(answer: WhatIf): Table {
  const { server } = answer
  return {
    title: 'server',
    rows: [
      ['max_connections', server.maxConnections, server.origin],
      ['reserved', server.reserved],
      ['headroom', server.headroom, '10 %'],
      ['usable', server.usable],
      ['opened', server.opened, openedBy(answer)],
      server.missing > 0
        ? ['missing', server.missing, formatPercent(server)]
        : ['spare', server.usable - server.opened],
    ],
  }
}

export function loadCheck(answer: WhatIf & { load: LoadAnswer }, withServer: boolean): Check {
  const { load, server, pods, lockPool } = answer
  const which = pods === 1 ? 'the pool is' : 'the pools are'
  if (load.missing === 0) return ok('load', `${which} large enough for the load`)
  const each = pods === 1 ? '' : ' in each pod'
  const wanted = pods * (load.fittingPool + (lockPool ?? 0))
  const needs = withServer && wanted > server.usable ? `, which needs ${atLeast(server)}` : ''
  return wrong(
    'load',
    `${which} too small for the load: ${load.missing} of ${load.needed} connections are missing`,
    `Set \`pool: { max: ${load.fittingPool} }\`${each}${needs}.`,
  )
}

export function serverCheck(answer: WhatIf): Check {
  const { server, load, pods, pool, lockPool } = answer
  if (server.missing === 0) return ok('server', 'the server can give what the pools open')
  const fixes: string[] = []
  const each = pods === 1 ? '' : ' in each pod'
  if (server.fittingPool !== null) fixes.push(`Set \`pool: { max: ${server.fittingPool} }\`${each}.`)
  const fewer = Math.floor(server.usable / (pool + (lockPool ?? 0)))
  if (server.fittingPool === null && load === null && fewer >= 1 && pods > 1) fixes.push(`Run ${plural(fewer, 'pod')}.`)
  if (server.fittingMaxConnections !== null) fixes.push(`Set ${atLeast(server)} on the server (needs a restart).`)
  if (fixes.length === 0 || server.fittingMaxConnections === null) {
    fixes.push('Put a pooler such as PgBouncer between the pods and the server.')
  }
  return wrong(
    'server',
    `the pools open more than the server can give: ${server.missing} of ${server.opened} connections are missing`,
    ...fixes,
  )
}

/** Undefined when nobody asked about locks, or when they have a pool of their own. */
export function lockPoolCheck({ lockPool, pool }: WhatIf): Check | undefined {
  if (lockPool !== 0) return undefined
  return warning(
    'lock-pool',
    `locks and work share one pool: once ${pool} requests hold or wait for a lock, none of them gets the connection that it needs to go on (deadlock)`,
    'Give locks a pool of their own: --lock-pool 10.',
  )
}

export function openedBy({ pods, pool, lockPool }: WhatIf): string {
  const each = lockPool === null || lockPool === 0 ? `pool ${pool}` : `(pool ${pool} + lock pool ${lockPool})`
  return `${plural(pods, 'pod')} × ${each}`
}

const atLeast = ({ fittingMaxConnections }: ServerAnswer): string =>
  fittingMaxConnections === null
    ? 'more connections than Postgres can have'
    : `max_connections = ${fittingMaxConnections}`

const formatPercent = ({ percent }: { readonly percent: number }): string =>
  percent === 0 ? 'less than 0.1 %' : `${percent} %`
