/**
 * Election: of all processes that want the same template one builds it, the others wait.
 *
 *   read ── sealed ─────────────────────────────► done (one query, no lock)
 *     │
 *     ├─ lock free ──► leader ── seals ─────────► done, NOTIFY wakes the followers
 *     │                  └────── throws ────────► failed(attempt), NOTIFY, followers throw the same error
 *     └─ lock taken ─► follower: wait for NOTIFY or re-check, read again
 *
 * The lock is an advisory lock on the leader's session, so it is free as soon as the leader is dead, and the next
 * follower to re-check leads. Whoever waited for attempt n is told of the failure of attempt n; who comes later tries again.
 * A lost connection is no such failure: then the next follower leads, as after a death.
 *
 * What if a process dies here? Leader before `beginAttempt`: nothing happened. Leader while building: its staging
 * database is named in the row, the next leader drops it. Follower: it holds nothing, or the place of the next leader, which
 * another one then takes. A leader whose lock session is lost can write neither "sealed" nor "failed", because it writes both
 * through that very session.
 */
import { isTestDbError, messageOf, TestDbError } from '../errors.ts'
import { publish } from '../events.ts'
import { isConnectionLoss, type Session, tryLock, unlock } from '../postgres/index.ts'
import { reached } from '../steps.ts'
import { Waker } from './notifier.ts'
import { CHANNEL } from './schema.ts'
import { noteFailed, noteMissing, readTemplate, type StoredError, type TemplateRow } from './templates.ts'

/** How long a dead leader can go unnoticed (ms). A live one wakes its followers by NOTIFY and never depends on it. */
const RECHECK_MS = 250

/**
 * Of all who wait only one looks that often, the next leader; the others this many times more rarely. Forty processes that did
 * would take the leader's processor time: on a busy machine with two processors a build took more than twice as long.
 */
const PATIENCE = 4

export interface Election {
  /** The session that holds the lock, and through which the result is written. */
  readonly session: Session
  readonly templateId: number
  /** For people: the template's name. */
  readonly label: string
  /** Builds and ends with `noteSealed`; called while this process is the leader. */
  readonly lead: (row: TemplateRow) => Promise<void>
  /**
   * True when a result that was there before this process asked counts. False where each run must look for itself
   * (one shared database that anybody may change); then only a build that this process waited for counts.
   */
  readonly acceptEarlier: boolean
  /** Milliseconds to wait for a leader that does not end. */
  readonly waitTimeoutMs: number
  /** Milliseconds between looks of the next leader at one that sends nothing. @default 250 */
  readonly recheckMs?: number
}

/** Returns the sealed template, built by this process or by another; throws the leader's error if its build failed. */
export async function leadOrFollow(election: Election): Promise<TemplateRow> {
  const { session, templateId } = election
  const waker = await Waker.listen(session, CHANNEL.templates)
  // Not the time of day: a clock that is put right would look like a leader that takes for ever.
  const startedAt = performance.now()
  let followed: number | undefined
  let next = false
  const resign = async (): Promise<void> => {
    if (next && !session.lost.aborted) await unlock(session, 'next', templateId).catch(() => undefined)
    next = false
  }
  try {
    for (;;) {
      const row = await read(election)
      const result = outcome(election, row, followed)
      if (result) return result
      if (await tryLock(session, 'build', templateId)) {
        await resign()
        return await leadOnce(election, followed, performance.now() - startedAt)
      }
      // The lock is taken. A row that does not say "building" is one whose leader has not begun its attempt yet.
      followed = row.state === 'building' ? row.attempt : Math.max(followed ?? 0, row.attempt + 1)
      reportWaiting(election, row, performance.now() - startedAt)
      reached('build.waiting')
      next ||= await tryLock(session, 'next', templateId)
      await waker.wait((election.recheckMs ?? RECHECK_MS) * (next ? 1 : PATIENCE))
    }
  } finally {
    await resign()
    await waker.close()
  }
}

async function leadOnce(election: Election, followed: number | undefined, waitedMs: number): Promise<TemplateRow> {
  const { session, templateId, label } = election
  try {
    // Between our look and our lock the last leader may have finished.
    const row = await read(election)
    const result = outcome(election, row, followed)
    if (result) return result
    reached('build.elected')
    publish('leader.elected', { template: label, waitedMs, takeover: row.state === 'building' })
    try {
      await election.lead(row)
    } catch (error) {
      throw await failed(election, error)
    }
    return await read(election)
  } finally {
    if (!session.lost.aborted) await unlock(session, 'build', templateId).catch(() => undefined)
  }
}

/** Stores the leader's error for its followers and returns what this process throws. */
async function failed(election: Election, error: unknown): Promise<unknown> {
  const { session, templateId, label } = election
  if (session.lost.aborted) return leadershipLost(election, error)
  const lost = isConnectionLoss(error)
  const fallback = lost ? 'TESTDB_SERVER_LOST' : 'TESTDB_TEMPLATE_BUILD_FAILED'
  const coded = isTestDbError(error)
    ? error
    : new TestDbError(fallback, `building ${label} failed: ${messageOf(error)}`, { cause: error })
  const { code, what, fixes, details, stack } = coded
  try {
    // Somebody cut the migration's connection: that is this process's bad luck and not that of who waits for it.
    if (lost) await noteMissing(session, templateId)
    else await noteFailed(session, templateId, { code, what, fixes, details, stack })
  } catch (second) {
    // The build's error is the one that matters; without it the followers find the lock free and try for themselves.
    return session.lost.aborted ? leadershipLost(election, second) : coded
  }
  publish('template.failed', { template: label, message: what })
  return coded
}

function leadershipLost({ label }: Election, cause: unknown): TestDbError {
  const what = `lost the connection that made this process (pid ${process.pid}) the leader for ${label}`
  return new TestDbError('TESTDB_LEADERSHIP_LOST', what, { cause })
}

async function read(election: Election): Promise<TemplateRow> {
  const row = await readTemplate(election.session, election.templateId)
  if (row) return row
  throw new TestDbError(
    'TESTDB_TEMPLATE_BUILD_FAILED',
    `${election.label} was pruned by somebody while this process wanted it`,
  )
}

/** The template if it is there, nothing if it must be built or waited for; throws if the awaited build failed. */
function outcome(election: Election, row: TemplateRow, followed: number | undefined): TemplateRow | undefined {
  const awaited = followed !== undefined && row.attempt >= followed
  if (row.state === 'sealed' && (election.acceptEarlier || awaited)) return row
  if (row.state === 'failed' && awaited && row.error) throw revive(row.error, row)
  return undefined
}

function revive(error: StoredError, row: TemplateRow): TestDbError {
  const leader = `pid ${row.leaderPid} on ${row.leaderHost}`
  const cause = new Error(`reported by the leader, ${leader}`)
  if (error.stack) cause.stack = `${cause.message}\n${error.stack}`
  return new TestDbError(error.code, error.what, { fixes: error.fixes, details: { ...error.details, leader }, cause })
}

function reportWaiting(election: Election, row: TemplateRow, elapsedMs: number): void {
  const leader = row.leaderPid && row.leaderHost ? { pid: row.leaderPid, host: row.leaderHost } : undefined
  if (elapsedMs > election.waitTimeoutMs) {
    const who = leader ? `pid ${leader.pid} on ${leader.host}` : 'another process'
    const at = row.step ? `, at migration ${row.step.index} of ${row.step.total}, ${row.step.name}` : ''
    const what = `waited ${Math.round(elapsedMs / 1000)} s for ${who}, which is building ${election.label}${at}`
    throw new TestDbError('TESTDB_WAIT_TIMEOUT', what)
  }
  publish('leader.waiting', { template: election.label, leader, step: row.step ?? undefined, elapsedMs })
}
