/**
 * The container as its supervisor sees it. Whatever has the name is looked at first:
 *
 *   none ─▶ image pulled, if it is not there ─▶ made ─▶ waited for
 *   being removed ─▶ waited for, then none         made but not started ─▶ another supervisor is at work, or dead: removed
 *   running ─▶ lets us in? ─▶ adopted               └ refuses our login, or never answers: removed, then none
 *
 * If this process dies, the container runs on, or stands there half made: the next supervisor goes through the same steps.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { isTestDbError, messageOf, TestDbError } from '../../errors.ts'
import type { Reply } from '../owned/job.ts'
import { logTail } from '../owned/log-tail.ts'
import { type Probe, probeServer } from '../owned/probe.ts'
import { writeState } from '../owned/state-file.ts'
import type { Supervised } from '../owned/supervised.ts'
import { note } from '../owned/supervisor-log.ts'
import { create, type Info, inspect, remove, stateOf, untilGone } from './container.ts'
import { type Engine, openEngine } from './engine.ts'
import type { ContainerJob } from './job.ts'
import { removeLeftovers } from './leftovers.ts'
import { type ContainerState, identityOf, removeState } from './state.ts'

/** From starting a container to the first login; initdb on a busy machine is most of it. */
const READY_TIMEOUT_MS = 90_000
/** From making a container to starting it. */
const CREATED_TIMEOUT_MS = 10_000
const ATTEMPTS = 5

export async function bringUpContainer(job: ContainerJob, stopping: AbortSignal): Promise<Supervised> {
  const { files, maxConnections } = job
  const engine = await openEngine(job.testcontainers)
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const present = await inspect(engine, files.name)
    if (present !== undefined) {
      const state = await adopt(engine, present, job, stopping)
      if (state !== undefined) return supervised(engine, job, state, false)
      continue
    }
    await engine.pull(files.image)
    await removeLeftovers(engine)
    stopping.throwIfAborted()
    const made = await create(engine, files, maxConnections)
    if (made === undefined) continue
    try {
      return supervised(engine, job, await untilReady(engine, made.Id, job, stopping), true)
    } catch (error) {
      await remove(engine, made.Id)
      throw error
    }
  }
  throw new Error(`the container ${files.name} went away ${ATTEMPTS} times while it was being started`)
}

export function containerFailure(error: unknown): Reply {
  if (!isTestDbError(error)) return { kind: 'failed', message: messageOf(error), log: [], data: false }
  const { code, what: message, fixes } = error
  return { kind: 'failed', message, log: [], data: false, error: { code, fixes } }
}

/** Undefined when it is gone now: then there is room for a new one. */
async function adopt(
  engine: Engine,
  present: Info,
  job: ContainerJob,
  stopping: AbortSignal,
): Promise<ContainerState | undefined> {
  const { Id: id, State } = present
  if (State.Status === 'removing' || State.Dead) {
    await untilGone(engine, id)
    return undefined
  }
  if (State.Status === 'created' && !(await leavesCreated(engine, id))) {
    await remove(engine, id)
    return undefined
  }
  try {
    return await untilReady(engine, id, job, stopping)
  } catch (error) {
    stopping.throwIfAborted()
    // Other people's tests are running in a full one: it is the last thing to be ended.
    if (isTestDbError(error) && error.code === 'TESTDB_SERVER_UNREACHABLE') throw error
    note(`${job.files.name} is removed: ${messageOf(error)}`)
    await remove(engine, id)
    return undefined
  }
}

async function leavesCreated(engine: Engine, id: string): Promise<boolean> {
  const begun = performance.now()
  while ((await inspect(engine, id))?.State.Status === 'created') {
    if (performance.now() - begun > CREATED_TIMEOUT_MS) return false
    await delay(50)
  }
  return true
}

/** Throws TESTDB_SERVER_START_FAILED with the end of the log; TESTDB_SERVER_UNREACHABLE when it runs and is full. */
async function untilReady(
  engine: Engine,
  id: string,
  job: ContainerJob,
  stopping: AbortSignal,
): Promise<ContainerState> {
  const { files } = job
  const begun = performance.now()
  let last: Exclude<Probe, { found: object }> | undefined
  for (;;) {
    stopping.throwIfAborted()
    const info = await inspect(engine, id)
    if (info?.State.Running !== true) throw await startFailed(job, `the container of ${files.image} has ended`)
    const state = stateOf(engine, files.name, info)
    const result = state && (await probeServer(identityOf(state)))
    if (state !== undefined && result?.found !== undefined) return state
    last = result?.found === undefined ? result : last
    if (last?.refusal === 'locked out') break
    if (performance.now() - begun > READY_TIMEOUT_MS) break
    await delay(50)
  }
  const reason = last?.reason ?? 'it publishes no port for 5432/tcp'
  if (last?.refusal === 'full') {
    const what = `the server in the container ${files.name} is full: ${reason}`
    throw new TestDbError('TESTDB_SERVER_UNREACHABLE', what, { fixes: FULL })
  }
  throw await startFailed(job, `the server in the container of ${files.image} does not let testdb in: ${reason}`)
}

const FULL = [
  'Wait for other runs to end, or use fewer workers or smaller pools.',
  'Run `npx testdb down --force` to end the container with everything in it.',
  'Run `npx testdb status` to see who is connected.',
]

async function startFailed({ files }: ContainerJob, what: string): Promise<TestDbError> {
  const lines = await logTail(files.serverLog)
  const text = [what, ...lines.map((line) => `  | ${line}`), `The log: ${files.serverLog}`].join('\n')
  return new TestDbError('TESTDB_SERVER_START_FAILED', text, { details: { log: files.serverLog, lines } })
}

function supervised(engine: Engine, { files }: ContainerJob, state: ContainerState, isNew: boolean): Supervised {
  return {
    files,
    admin: identityOf(state).admin,
    isNew,
    // An engine that does not answer says nothing about the container.
    async isAlive(suspect) {
      if (!suspect) return true
      const info = await inspect(engine, state.container).catch(() => 'unknown' as const)
      return info === 'unknown' || info?.State.Running === true
    },
    isForgotten: async () => false,
    beat: async () => undefined,
    writeState: () => writeState(files.state, state),
    removeState: () => removeState(files.state, state),
    stop: () => remove(engine, state.container),
    cleanUp: async () => undefined,
  }
}
