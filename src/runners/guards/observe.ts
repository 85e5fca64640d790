/** Which guards look when: before and after a test, before what follows a reset, at the end of a file. */
import type { WorkerDatabase } from '../../databases/database.ts'
import { beginReset } from '../../databases/reset/begun.ts'
import type { Begun } from '../../databases/reset/strategy.ts'
import { messageOf } from '../../errors.ts'
import { publish } from '../../events.ts'
import { wroteAfterReset } from '../../guards/late-write.ts'
import { manyQueries } from '../../guards/many-queries.ts'
import { destinationOf, otherServer } from '../../guards/other-server.ts'
import { outsideObjects } from '../../guards/outside-objects.ts'
import { unusedDatabase } from '../../guards/unused-database.ts'
import { knownClients, type Session, stillThere, withSession } from '../../postgres/index.ts'
import { changedVariables } from './elsewhere.ts'
import type { Place } from './places.ts'
import { lookAtPoolsAtTheEnd, lookForSeveralPools, type PoolsOf } from './pools.ts'
import { lookAtSessions, noteSessions } from './sessions.ts'
import type { Watched } from './state.ts'

/** What hooks have left is theirs, not the next test's. */
export async function lookBeforeTest(state: Watched): Promise<void> {
  if (!asksServer(state)) return
  for (const database of state.database?.all ?? []) {
    const { lease } = database
    if (lease)
      await undisturbed(() =>
        noteSessions({ database, session: lease.session, known: state.known.leftovers, locking: state.locking }),
      )
  }
}

const asksServer = ({ context: { guards } }: Watched): boolean =>
  [guards.idleInTransaction, guards.advisoryLock, guards.lateWrite].some((level) => level !== 'off')

/**
 * A test has ended, or the file has: what it has left. True when something went on in its database. `begun` takes the databases that are
 * put back in the same round trip, since there was nothing.
 */
export async function lookAfterTest(state: Watched, place: Place, begun?: Map<object, Begun>): Promise<boolean> {
  const { context, known } = state
  const { who, verdict, statements, database } = place
  const { max } = context.guards.manyQueries ?? { max: Number.POSITIVE_INFINITY }
  if (place.test !== undefined) verdict.raise('manyQueries', manyQueries(who, { max, ...statements }))
  if (!database) return false
  lookForSeveralPools(verdict, who, poolsOf(state, database), known.pools)
  lookElsewhere(state, place, database)
  const of = place.test === undefined ? 'file' : 'test'
  const asks = asksServer(state) && (database.lease !== undefined || place.suspect)
  if (!asks && place.made.length === 0) return false
  let goesOn = false
  await undisturbed(async () => {
    for (const one of asks ? database.all : []) {
      if (begun && (await isQuiet(state, one, begun))) continue
      await withAdmin(state, one, async (session) => {
        const looking = { database: one, session, known: known.leftovers, who, of, locking: state.locking } as const
        goesOn = (await lookAtSessions(verdict, looking)) || goesOn
      })
    }
    if (place.made.length === 0 || verdict.levelOf('outsideObjects') === 'off') return
    const left = await withAdmin(state, database, (session) => stillThere(session, place.made))
    verdict.raise('outsideObjects', outsideObjects(who, left))
  })
  return goesOn
}

/** False also where it is not known: what other drivers and other processes are asked is not heard. */
async function isQuiet({ locking }: Watched, database: WorkerDatabase, begun: Map<object, Begun>): Promise<boolean> {
  if (locking.mayLock || !database.lease) return false
  const clients = knownClients().flatMap(({ processID }) => processID ?? [])
  const reset = await beginReset(database.lease, clients)
  if (reset) begun.set(database, reset)
  return reset !== undefined
}

/** The session of the lease is there already. */
async function withAdmin<T>(
  { context }: Watched,
  { lease, name }: WorkerDatabase,
  use: (session: Session) => Promise<T>,
): Promise<T> {
  if (lease) return await use(lease.session)
  const target = { ...context.admin, database: name }
  return await withSession(target, { applicationName: 'testdb coordination', neutral: true }, use)
}

const poolsOf = ({ context }: Watched, database: WorkerDatabase): PoolsOf => ({
  database,
  port: context.address.port,
  folder: context.folder,
})

function lookElsewhere({ context }: Watched, place: Place, database: WorkerDatabase): void {
  const { elsewhere, verdict, who } = place
  if (elsewhere.length === 0 || verdict.levelOf('otherServer') === 'off') return
  const changed = changedVariables(context, database)
  const found = otherServer(who, { greetings: elsewhere, database: database.name, changed })
  verdict.raise('otherServer', found, { folder: context.folder, once: ({ details }) => String(details.place) })
}

/** Before anything else may write: true when something did since the reset. */
export async function lookForLateWrites({ database }: Watched, { verdict, who }: Place): Promise<boolean> {
  if (verdict.levelOf('lateWrite') === 'off' || !database) return false
  let wrote = false
  for (const { lease } of database.all) {
    if (lease?.strategy.writtenTables === undefined) continue
    const sql = lease.strategy.writtenTables
    await undisturbed(async () => {
      const { rows } = await lease.session.query<{ table: string }>(sql)
      wrote ||= rows.length > 0
      verdict.raise(
        'lateWrite',
        wroteAfterReset(
          who,
          rows.map(({ table }) => table),
        ),
      )
    })
  }
  return wrote
}

export interface TheEnd {
  readonly who: string
  readonly processStays: boolean
}

/** A database is about to be given back, and its pools closed. */
export async function lookAtTheEnd(state: Watched, place: Place, { who, processStays }: TheEnd): Promise<void> {
  const { context, known } = state
  const { verdict, database } = place
  if (!database) return
  await lookAtPoolsAtTheEnd(verdict, { who, of: poolsOf(state, database), known: known.pools, processStays })
  if (place.test !== undefined || state.used || verdict.levelOf('unusedDatabase') === 'off') return
  const changed = changedVariables(context, database)
  const found = unusedDatabase(who, state.tests, { greetings: state.elsewhere, database: database.name, changed })
  const once = (): string => [...state.elsewhere.map(destinationOf), ...changed.map(({ to }) => to)].join(' ')
  verdict.raise('unusedDatabase', found, { folder: context.folder, once })
}

/** A database that is lost, or a server that can not be asked, is what the reset will tell of; guards add nothing to it. */
async function undisturbed(look: () => Promise<void>): Promise<void> {
  try {
    await look()
  } catch (error) {
    publish('warning.raised', { message: `guards could not look at what was left: ${messageOf(error)}` })
  }
}
