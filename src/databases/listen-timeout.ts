/** What to say of a notification that did not come: the classic mistakes leave traces. */
import { TestDbError } from '../errors.ts'
import { type Activity, shownStatement } from '../postgres/index.ts'
import type { Missed } from './subscription.ts'

/** A listening session that is lost. */
export interface Loss {
  /** By `performance.now()`. */
  readonly since: number
  readonly cause: string
  /** Why there is no other one yet. */
  problem?: string
}

export interface Circumstances extends Missed {
  readonly database: string
  readonly rollsBack: boolean
  /** Sessions that are idle in a transaction. */
  readonly open: readonly Activity[]
  readonly loss: Loss | undefined
}

/** Characters of a payload or statement that are shown, and how many sessions. */
const SHOWN = { text: 80, sessions: 3 } as const

export function notificationTimeout(what: Circumstances): TestDbError {
  const { subscription, waitedMs, database, rollsBack, open, loss } = what
  const { channel, waiting, gaps, elsewhere } = subscription
  const message = [`nothing came on "${channel}" of ${database} within ${waitedMs} ms`, ...traces(what)].join('\n  ')
  return new TestDbError('TESTDB_NOTIFICATION_TIMEOUT', message, {
    details: {
      channel,
      database,
      waitedMs,
      received: waiting.map(({ payload }) => payload),
      otherChannels: Object.fromEntries(elsewhere),
      openTransactions: open.map(({ pid, applicationName }) => ({ pid, applicationName })),
      gaps: [...gaps],
      lost: loss !== undefined,
    },
    ...(rollsBack && { fixes: ROLLED_BACK }),
  })
}

const ROLLED_BACK = [
  "With `reset: 'rollback'` what goes through `db.pool`, `db.query()` and `db.knex()` is never committed, and a NOTIFY is sent at the commit: send it through a connection of your own (`db.url`), or use `reset: 'rows'`.",
  'Compare the name of the channel: without quotes `NOTIFY Jobs` is sent on "jobs".',
  'Run `npx testdb status` while the test waits to see the open transactions.',
]

function* traces({ subscription, selective, open, loss }: Circumstances): Generator<string> {
  const { waiting, elsewhere, gaps } = subscription
  const last = waiting.at(-1)
  if (last && selective)
    yield `${waiting.length} came that \`where\` did not take, the last with the payload ${short(last.payload)}`
  for (const [channel, count] of elsewhere) yield `${count} came on "${channel}"`
  for (const one of open.slice(0, SHOWN.sessions)) {
    yield `pid ${one.pid} (${one.applicationName || 'no application name'}) is in a transaction that is not committed${statement(one.query)}`
  }
  if (open.length > SHOWN.sessions) yield `and ${open.length - SHOWN.sessions} more`
  for (const { downMs, cause } of gaps) {
    yield `nobody listened for ${Math.round(downMs)} ms, because the session was lost (${cause}): what was sent then is missing`
  }
  if (loss) {
    const since = Math.round(performance.now() - loss.since)
    yield `the listening session is lost since ${since} ms (${loss.cause})${loss.problem === undefined ? '' : ` and can not be made again: ${loss.problem}`}`
  }
}

function statement(query: string | null): string {
  return query ? `, its last statement: ${shownStatement(query)}` : ''
}

function short(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim()
  return JSON.stringify(line.length > SHOWN.text ? `${line.slice(0, SHOWN.text)}…` : line)
}
