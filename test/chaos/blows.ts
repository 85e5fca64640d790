/** Carries out one blow, after it has noted whom it hits. */
import { spawn } from 'node:child_process'
import type { Session } from '../../src/postgres/index.ts'
import type { Blow, RunPart, Step } from './plan.ts'
import { signal, workersOf } from './processes.ts'
import type { LiveRun } from './runs.ts'
import { clientSessions, type ObservedServer } from './server.ts'

export interface Field {
  readonly server: ObservedServer
  /** Every run that lives. */
  runs(): readonly LiveRun[]
  /** The server of all runs is about to die; ends when nobody new can be hit by it. */
  disaster(until: Promise<void>): void
}

/** What was hit, for the log; undefined when there was nothing to hit. */
export async function strike(step: Step, own: LiveRun, field: Field): Promise<string | undefined> {
  const { blow } = step
  if (blow.kind === 'cut') return await cut(step.pick, field)
  if (blow.part === 'main' || blow.part === 'group' || blow.part === 'worker') {
    return strikeRun(step, blow, blow.part, own, field)
  }
  return await strikeServer(step, blow, field)
}

function pickOne<T>(candidates: readonly T[], pick: number): T | undefined {
  return candidates[Math.floor(pick * candidates.length)]
}

type ProcessBlow = Exclude<Blow, { kind: 'cut' }>

function strikeRun(step: Step, blow: ProcessBlow, part: RunPart, own: LiveRun, field: Field): string | undefined {
  const run = step.own && own.living ? own : pickOne(field.runs(), step.pick)
  if (run === undefined) return undefined
  // Some kinds have no workers, and none has them all the time.
  const pid = (part === 'worker' ? pickOne(workersOf(run.pid), step.pick)?.pid : undefined) ?? run.pid
  if (blow.kind === 'pause') pause(pid, blow.forMs)
  else {
    run.hit('signal')
    if (!signal(part === 'group' ? -pid : pid, blow.signal)) return undefined
  }
  return `${part} of ${run.name} (pid ${pid})`
}

async function strikeServer(step: Step, blow: ProcessBlow, { server, disaster }: Field): Promise<string | undefined> {
  const { part } = blow
  const postmaster = await server.postmaster()
  const children = part === 'backend' ? await server.children() : []
  const pid =
    part === 'supervisor' ? server.supervisor() : part === 'postmaster' ? postmaster : pickOne(children, step.pick)
  if (pid === undefined) return undefined
  if (blow.kind === 'pause') {
    pause(pid, blow.forMs)
    return `${part} (pid ${pid})`
  }
  const canary = await server.connect()
  // Without its supervisor a server lives on; one that has not come up yet does not, for whoever is starting it.
  if (part !== 'supervisor' || blow.signal !== 'SIGKILL' || canary === undefined) {
    disaster(server.untilRefusing(postmaster ?? pid, canary).finally(() => canary?.close()))
  } else await canary.close()
  return signal(pid, blow.signal) ? `${part} (pid ${pid})` : undefined
}

async function cut(pick: number, { server, runs }: Field): Promise<string | undefined> {
  const session = await server.connect()
  if (session === undefined) return undefined
  try {
    const victim = pickOne(await clientSessions(session), pick)
    if (victim === undefined) return undefined
    // A session that nobody has put a name to may be anybody's; the supervisor gets itself another one.
    const known = runs().filter((run) => run.pid === victim.run)
    const hit = victim.what.startsWith('testdb supervisor') ? [] : known.length > 0 ? known : runs()
    for (const run of hit) run.hit(victim.ofTest ? 'statement' : 'session')
    await terminate(session, victim)
    return `session ${victim.what} (${hit.map(({ name }) => name).join(', ') || 'of no run'})`
  } finally {
    await session.close()
  }
}

async function terminate(session: Session, { pid, start }: { pid: number; start: string }): Promise<void> {
  await session
    .query('select pg_terminate_backend(pid) from pg_stat_activity where pid = $1 and backend_start::text = $2', [
      pid,
      start,
    ])
    .catch((error: unknown) => {
      if (!session.lost.aborted) throw error
    })
}

/** By a process of its own, so that nothing stays stopped when this one is killed. */
function pause(pid: number, forMs: number): void {
  const script = `kill -STOP ${pid}; sleep ${forMs / 1000}; kill -CONT ${pid}`
  spawn('sh', ['-c', script], { detached: true, stdio: 'ignore' }).unref()
}
