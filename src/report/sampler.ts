/**
 * Looks at the server's sessions now and then while a run lasts, on the run's own session: it has no connection more for it.
 * Nobody waits for it, and what goes wrong with it is nobody's business: a run that is being watched is the run that it was.
 */
// Node's own: tests replace the global ones by fakes that never fire.
import { setTimeout } from 'node:timers'
import { isObserved, publish } from '../events.ts'
import { readStatements, type Session, type StatementCount, sampleConnections } from '../postgres/index.ts'

/** Often at first, so that a run of two seconds has a curve; a run of an hour has no need of it (ms). */
const SOONEST_MS = 100
const LATEST_MS = 500
/** Looks in a run of any length up to that point. */
const LOOKS = 50

/** Servers that a session of this process looks at: runs of several databases have one each. */
const watched = new Set<string>()

/** Publishes `connections.sampled` until the session ends; nothing when nobody listens. */
export function startSampling(session: Session): void {
  const server = `${session.target.host}:${session.target.port}`
  if (watched.has(server) || !isObserved('connections.sampled')) return
  watched.add(server)
  const begun = performance.now()
  const next = (): void => {
    if (session.ended) return void watched.delete(server)
    const elapsed = performance.now() - begun
    setTimeout(() => void look(), Math.min(LATEST_MS, Math.max(SOONEST_MS, elapsed / LOOKS))).unref()
  }
  const look = async (): Promise<void> => {
    try {
      const sample = await sampleConnections(session)
      if (sample) publish('connections.sampled', sample)
    } catch {}
    next()
  }
  void readStatements(session)
    .then((counts) => counts && before.set(session, counts))
    .catch(() => undefined)
  void look()
}

/** What the server had counted when the run began. */
const before = new WeakMap<Session, readonly StatementCount[]>()
/** Statements of the report at most, before it takes its own. */
const MOST_STATEMENTS = 200

/** Publishes `statements.counted` at the end of a run, where the server counts them. */
export async function countStatements(session: Session): Promise<void> {
  const earlier = before.get(session)
  if (!earlier || session.ended) return
  const known = new Map(earlier.map((one) => [one.key, one]))
  const now = await readStatements(session).catch(() => undefined)
  const statements = (now ?? []).flatMap(({ key, database, query, calls, totalMs, maxMs }) => {
    const then = known.get(key)
    if (then && then.calls >= calls) return []
    const since = { calls: calls - (then?.calls ?? 0), totalMs: totalMs - (then?.totalMs ?? 0) }
    return [{ database, query, ...since, maxMs: then && then.maxMs >= maxMs ? null : maxMs }]
  })
  statements.sort((a, b) => b.totalMs - a.totalMs)
  publish('statements.counted', { statements: statements.slice(0, MOST_STATEMENTS) })
}
