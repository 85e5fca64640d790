/**
 * The guard `connectionLimit`: a connection was refused because there are too many. Says once for each test who holds them, whatever
 * the test makes of its driver's error. Outside of tests it is said once for each file.
 */
import type { RunContext } from '../../databases/context.ts'
import type { WorkerDatabase } from '../../databases/database.ts'
import { TestDbError } from '../../errors.ts'
import { explainRefusal, mentions } from '../../guards/connection-limit.ts'
import { type Census, countPools, type Refusal, takeCensus, withSession } from '../../postgres/index.ts'
import type { Place, Places } from './places.ts'

/** How long the explanation waits for a connection of its own, where the worker has no lease (ms). */
const CONNECT_MS = 2_000

export interface Refused {
  readonly refusal: Refusal
  /** Where the connection was begun, if that was in a test. */
  readonly from: Place | undefined
  /** No hook of the file has run, and it may be that none will: then there is nobody to throw it. */
  readonly loading: boolean
}

/** What is returned is to be waited for before anybody learns of the refusal. */
export function explain(context: RunContext, places: Places, refused: Refused): Promise<void> | undefined {
  const { refusal, from } = refused
  // Tests at the same time have databases of their own, and the message names one.
  const named = places.running.filter(({ database }) => database && mentions(refusal.message, database.name))
  const concurrent = places.running.length > 1 ? named.at(-1) : undefined
  const place = concurrent ?? from ?? places.outside
  if (place.told || place.verdict.levelOf('connectionLimit') === 'off') return undefined
  const told = (): void => {
    place.told = true
  }
  // The end of a test waits for it, and is not to fail by it.
  place.telling ??= tell(context, place, refused).then(told, told)
  return place.telling
}

async function tell({ address, admin, pool }: RunContext, place: Place, { refusal, loading }: Refused): Promise<void> {
  const { who, database: first } = place
  const database = first?.all.find(({ name }) => mentions(refusal.message, name)) ?? first
  const pools = database ? countPools(database.name, address.port) : 0
  const census = await ask(admin, database).catch(() => undefined)
  const explained = explainRefusal({ who, refusal, database: database?.name, poolMax: pool.max, pools, census })
  const short = new TestDbError('TESTDB_CONNECTION_REFUSED', `${who} was refused a connection; it is explained above`)
  place.verdict.refuse(explained, loading ? short : undefined)
}

/** The session of a lease is there already; it is an admin's, who can be refused, too. */
async function ask(admin: RunContext['admin'], database: WorkerDatabase | undefined): Promise<Census> {
  if (database?.lease) return await takeCensus(database.lease.session)
  const options = { applicationName: 'testdb coordination', neutral: true, connectTimeoutMs: CONNECT_MS }
  return await withSession(admin, options, takeCensus)
}
