/**
 * A connection was refused because there are too many: says once for each test who holds them, whatever the test makes of its
 * driver's error. Outside of tests it is said once for each file.
 */
import { relative } from 'node:path'
import type { RunContext } from '../databases/context.ts'
import type { WorkerDatabase } from '../databases/database.ts'
import { publish } from '../events.ts'
import { explainRefusal, mentions } from '../guards/connection-limit.ts'
import {
  type Census,
  countPools,
  onRefusal,
  type Refusal,
  takeCensus,
  watchPools,
  withSession,
} from '../postgres/index.ts'

/** Where code of the user runs: a test, or a file outside of its tests. */
interface Place {
  readonly who: string
  readonly database: WorkerDatabase | undefined
  /** Set by the first refusal. */
  telling?: Promise<void>
  told?: boolean
}

interface State {
  readonly context: RunContext
  readonly database: WorkerDatabase | undefined
  readonly running: Map<object, Place>
  outside: Place | undefined
  stop(): void
}

/** On `globalThis`, because the setup file and the fixtures may be loaded as separate copies. */
const STATE = Symbol.for('testdb.refused')
const store = globalThis as { [STATE]?: State | undefined }
let testFile: string | undefined

/** How long the explanation waits for a connection of its own, where the worker has no lease (ms). */
const CONNECT_MS = 2_000

/** From now on refused connections to the server of the run are explained. Safe to call again. */
export function watchRefusals(context: RunContext, database?: WorkerDatabase): void {
  const before = store[STATE]
  if (before && (database === undefined || before.database === database)) return
  before?.stop()
  const stop = onRefusal(
    context.address,
    (refusal, from: Place | undefined) => {
      const state = store[STATE]
      return state && explain(state, refusal, from)
    },
    () => [...(store[STATE]?.running.values() ?? [])].at(-1),
  )
  store[STATE] = { context, database, running: before?.running ?? new Map(), outside: undefined, stop }
  watchPools()
}

/** The file that is about to be loaded; undefined where the runner does not tell. */
export function nameTestFile(file: string | undefined): void {
  testFile = file
}

/** The test file is loaded, and its first hook is about to run. */
export function fileBegins(file: string | undefined): void {
  nameTestFile(file)
  if (file !== undefined) publish('file.started', { file, database: store[STATE]?.database?.name })
  // The file may have loaded a driver of its own.
  if (store[STATE]) watchPools()
}

/** `database`: if it is not the worker's. */
export function testBegins(test: object, name: string, database?: WorkerDatabase): void {
  const state = store[STATE]
  state?.running.set(test, { who: `"${name}"`, database: database ?? state.database })
}

/** Waits until what there is to say about the test was said. */
export async function testEnds(test: object): Promise<void> {
  const place = store[STATE]?.running.get(test)
  store[STATE]?.running.delete(test)
  await place?.telling
}

/** The worker leaves the file. */
export async function endRefusals(): Promise<void> {
  const state = store[STATE]
  if (!state) return
  store[STATE] = undefined
  if (testFile !== undefined) publish('file.finished', { file: testFile })
  // The next file may be in this process, too.
  nameTestFile(undefined)
  state.stop()
  await state.outside?.telling
}

/** What is returned is to be waited for before anybody learns of the refusal. */
function explain(state: State, refusal: Refusal, from: Place | undefined): Promise<void> | undefined {
  const running = [...state.running.values()]
  // Tests at the same time have databases of their own, and the message names one.
  const named = running.filter(({ database }) => database && mentions(refusal.message, database.name))
  const concurrent = running.length > 1 ? named.at(-1) : undefined
  const place = concurrent ?? from ?? outsideOf(state)
  if (place.told) return undefined
  const told = (): void => {
    place.told = true
  }
  // The end of a test waits for it, and is not to fail by it.
  place.telling ??= tell(state.context, place, refusal).then(told, told)
  return place.telling
}

function outsideOf(state: State): Place {
  const file = testFile === undefined ? 'the test file' : relative(process.cwd(), testFile)
  state.outside ??= { who: `the code of ${file} outside of its tests`, database: state.database }
  return state.outside
}

async function tell(
  { address, admin, pool }: RunContext,
  { who, database: first }: Place,
  refusal: Refusal,
): Promise<void> {
  const database = first?.all.find(({ name }) => mentions(refusal.message, name)) ?? first
  const pools = database ? countPools(database.name, address.port) : 0
  const census = await ask(admin, database).catch(() => undefined)
  const { message } = explainRefusal({ who, refusal, database: database?.name, poolMax: pool.max, pools, census })
  process.stderr.write(`testdb: ${message}\n`)
}

/** The session of a lease is there already; it is an admin's, who can be refused, too. */
async function ask(admin: RunContext['admin'], database: WorkerDatabase | undefined): Promise<Census> {
  if (database?.lease) return await takeCensus(database.lease.session)
  const options = { applicationName: 'testdb coordination', neutral: true, connectTimeoutMs: CONNECT_MS }
  return await withSession(admin, options, takeCensus)
}
