/**
 * The guards, as runners use them: `watchGuards` with the worker's database; then for each test `testBegins` and `testEnds`, before the
 * reset, which would undo what is looked for; `wroteLate` before what comes next; `fileEnds` before the worker leaves the file.
 *
 *   runner ─► watch.ts ─► observers here (sessions, pools, refused, elsewhere) ─► src/guards/*: what to say ─► verdict.ts: levels
 */
import type { RunContext } from '../../databases/context.ts'
import type { WorkerDatabase } from '../../databases/database.ts'
import type { BegunResets } from '../../databases/reset/begun.ts'
import type { Begun } from '../../databases/reset/strategy.ts'
import { publish } from '../../events.ts'
import { asksForSomething } from '../../guards/many-queries.ts'
import {
  type DriverClient,
  type Greeting,
  listenToDriver,
  onRefusal,
  outsideObjectsIn,
  publishAcquires,
  watchPools,
  watchStatements,
} from '../../postgres/index.ts'
import { lookAfterTest, lookAtTheEnd, lookBeforeTest, lookForLateWrites } from './observe.ts'
import { fileName, hasDatabase, type Place, Places } from './places.ts'
import { explain } from './refused.ts'
import { KnownLeftovers } from './sessions.ts'
import type { Watched } from './state.ts'
import { Verdict } from './verdict.ts'

/** On `globalThis`, because the setup file and the fixtures may be loaded as separate copies. */
const STATE = Symbol.for('testdb.guards')
const KNOWN = Symbol.for('testdb.guards.known')
const store = globalThis as { [STATE]?: Watched | undefined; [KNOWN]?: Watched['known'] }
let testFile: string | undefined

/** From now on the guards look at what this process does with Postgres. Safe to call again. */
export function watchGuards(context: RunContext, database?: WorkerDatabase): void {
  const before = store[STATE]
  if (before && (database === undefined || before.database === database)) return
  before?.stop()
  store[KNOWN] ??= {
    leftovers: new KnownLeftovers(),
    pools: { seen: 0, several: new Map(), taken: new WeakSet() },
  }
  const state: Watched = {
    ...{ context, database, known: store[KNOWN] },
    places: new Places((test, own) => placeOf(context, test, own), database, before?.places),
    ...{
      loading: true,
      hooksRan: true,
      tests: before?.tests ?? 0,
      used: before?.used ?? false,
      ended: undefined,
      elsewhere: before?.elsewhere ?? [],
      sentSince: false,
      locking: before?.locking ?? { mayLock: true },
      otherDrivers: before?.otherDrivers ?? false,
    },
    stop: onRefusal(
      context.address,
      (refusal, from: Place | undefined) => explain(context, state.places, { refusal, from, loading: state.loading }),
      () => state.places.latest,
      (greeting, from) => greeted(state, greeting, from),
    ),
  }
  store[STATE] = state
  listenToDriver({
    sent: (client, text) => sent(state, client, text),
    made: (client, text) => void state.places.of(client.database).made.push(...outsideObjectsIn(text)),
    taken: (client) => state.places.of(client.database),
  })
  watchDriver()
}

function placeOf({ guards }: RunContext, test: string | undefined, database: WorkerDatabase | undefined): Place {
  const file = testFile
  return {
    who: test === undefined ? `the code of ${fileName(file)} outside of its tests` : `"${test}"`,
    ...{ test, database, made: [], elsewhere: [], suspect: false },
    statements: { count: 0, texts: new Map() },
    verdict: new Verdict(guards, () => ({ test, file: file ?? testFile })),
  }
}

function watchDriver(): void {
  watchPools()
  watchStatements()
}

/** What may leave a transaction or a lock. */
const SUSPECT = /\b(begin|start\s+transaction)|advisory/i
const LOCKING = /advisory/i

function sent({ context, database, places }: Watched, client: DriverClient, text: string): void {
  const { guards, shared } = context
  const state = store[STATE]
  if (state && hasDatabase(database, client.database)) {
    state.used = true
    if (state.ended) state.sentSince = true
    if (LOCKING.test(text)) state.locking.mayLock = true
  }
  if (guards.manyQueries === undefined && shared === undefined) return
  const place = places.of(client.database)
  if (shared !== undefined && SUSPECT.test(text)) place.suspect = true
  if (guards.manyQueries === undefined || !asksForSomething(text)) return
  const { texts } = place.statements
  place.statements.count++
  texts.set(text, (texts.get(text) ?? 0) + 1)
}

function greeted(state: Watched, greeting: Greeting, from: Place | undefined): void {
  const { places, database } = state
  const own = [...places.running.map((one) => one.database), database]
  // An encrypted one does not say where it leads.
  if (greeting.ours && (greeting.database === undefined || own.some((one) => hasDatabase(one, greeting.database)))) {
    state.used = true
    if (!greeting.driver) state.otherDrivers = true
    return
  }
  state.elsewhere.push(greeting)
  ;(from ?? places.outside).elsewhere.push(greeting)
}

/** The file that is about to be loaded; undefined where the runner does not tell. */
export function nameTestFile(file: string | undefined): void {
  testFile = file
}

/** The test file is loaded, and its first hook is about to run. */
export function fileBegins(file: string | undefined): void {
  nameTestFile(file)
  const state = store[STATE]
  if (file !== undefined) publish('file.started', { file, database: state?.database?.name })
  if (!state) return
  state.loading = false
  // The file may have loaded a driver of its own.
  watchDriver()
}

/** Hooks before or after the tests of a block, or of the file, are about to run. */
export function hooksBegin(): void {
  const state = store[STATE]
  if (state) state.hooksRan = true
}

/** `database`: if it is not the worker's. */
export async function testBegins(test: object, name: string, database?: WorkerDatabase): Promise<void> {
  const state = store[STATE]
  if (!state) return
  state.tests++
  // One that has just been made has nothing of hooks.
  if (state.hooksRan && !database) await lookBeforeTest(state)
  state.hooksRan = false
  state.places.begin(test, name, database)
}

export interface TestEnded {
  /** Call `judge()` after the reset. */
  readonly verdict?: Pick<Verdict, 'judge'>
  /** Databases that were put back in the same round trip. */
  readonly begun?: BegunResets
}

/**
 * Looks at what the test has left; call it before the reset. `last`: the database goes with the test. `mayReset`: a reset follows at once,
 * so that it may begin where nothing was left.
 */
export async function testEnds(test: object, { last = false, mayReset = false } = {}): Promise<TestEnded> {
  const state = store[STATE]
  const place = state?.places.end(test)
  if (!state || !place) return {}
  await place.telling
  // From here on: what is sent while the server is asked may be at work after the reset.
  state.ended = place
  const begun = new Map<object, Begun>()
  state.sentSince = (await lookAfterTest(state, place, mayReset ? begun : undefined)) || state.sentSince
  const { verdict } = place
  if (!last) return { verdict, begun }
  state.ended = undefined
  await lookAtTheEnd(state, place, { who: place.who, processStays: true })
  return { verdict }
}

/** Call it first after a reset, before anybody else may write; the test's name when something has written meanwhile, which is said. */
export async function wroteLate(): Promise<string | undefined> {
  const state = store[STATE]
  const place = state?.ended
  if (!state || !place) return undefined
  state.ended = undefined
  const { sentSince, otherDrivers } = state
  state.sentSince = false
  // The common case costs nothing.
  if (!sentSince && !otherDrivers) return undefined
  const wrote = await lookForLateWrites(state, place)
  state.places.outside.verdict.adopt(place.verdict)
  return wrote ? place.test : undefined
}

export interface FileEnd {
  /** The process runs further files. */
  readonly processStays: boolean
  /** It was only a test's, which has a database for itself. */
  readonly ofTest?: boolean
}

/** The worker leaves the file; call `judge()` of what it returns when all was closed and given back. */
export async function fileEnds({ processStays, ofTest = false }: FileEnd): Promise<Pick<Verdict, 'judge'> | undefined> {
  const state = store[STATE]
  publishAcquires()
  if (!ofTest && testFile !== undefined) publish('file.finished', { file: testFile })
  if (!state) return undefined
  await wroteLate()
  const place = state.places.outside
  await place.telling
  if (!ofTest) {
    await lookAfterTest(state, place)
    await lookAtTheEnd(state, place, { who: fileName(testFile), processStays })
  }
  store[STATE] = undefined
  listenToDriver(undefined)
  state.stop()
  // The next file may be in this process, too.
  if (!ofTest) nameTestFile(undefined)
  return place.verdict
}
