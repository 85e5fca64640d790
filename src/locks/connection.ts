/**
 * One connection of the lock pool while it is given out: a transaction whose locks are its only content.
 *
 *   acquire ──► BEGIN, lock ──► push: SAVEPOINT, lock … pop: ROLLBACK TO SAVEPOINT ──► commit ──► back in the pool
 *                  └── the server or the network ends it: `lost`, all watchers hear why, the pool gets rid of it at once
 *
 * If the process dies anywhere here, the server ends the transaction and with it all locks.
 */
// Node's own: tests replace the global ones by fakes that never fire.
import { clearTimeout, setTimeout } from 'node:timers'
import { discardClient, endsConnection, isConnectionLoss, type PoolClient, type SqlLockKey } from '../postgres/index.ts'
import type { LockHolder } from './lock-errors.ts'

/** The server's own limits come first, and with a text that says why; after this much more it is not there any more (ms). */
const SILENCE_MS = 2_000

export interface WaitLimits {
  /** Milliseconds in which every answer comes. */
  readonly answerMs: number
  /** Milliseconds after which the server ends a transaction in which nothing happens. */
  readonly idleInTransactionMs: number
}

/** A savepoint with a nested lock. */
export interface Level {
  readonly name: string
  ended: boolean
}

export type Mode = 'wait' | 'try'

export class LockConnection {
  readonly #client: PoolClient
  readonly #limits: WaitLimits
  readonly #watchers = new Set<(cause: unknown) => void>()
  #loss: { readonly cause: unknown } | undefined
  #given = true
  /** True while a transaction is open. */
  #open = false
  #last: Promise<unknown> = Promise.resolve()
  #watchdog: NodeJS.Timeout | undefined
  /** Lowest first. */
  #levels: Level[] = []
  #made = 0

  constructor(client: PoolClient, limits: WaitLimits) {
    this.#client = client
    this.#limits = limits
    client.on('error', this.#lose).on('end', this.#onEnd)
  }

  get lost(): boolean {
    return this.#loss !== undefined
  }

  /** What the server said last, if it is lost. */
  get cause(): unknown {
    return this.#loss?.cause
  }

  /** Process id of the backend on the server, or what a pooler says is one. */
  get backendPid(): number {
    return (this.#client as PoolClient & { processID: number }).processID
  }

  /** Returns the function that ends it. */
  onLost(watcher: (cause: unknown) => void): () => void {
    this.#watchers.add(watcher)
    return () => void this.#watchers.delete(watcher)
  }

  async query<R>(sql: string): Promise<{ readonly rows: R[]; readonly rowCount: number | null }> {
    return await this.#unit(async () => {
      const { rows, rowCount } = (await this.#send(sql)).at(-1) as Answer
      return { rows: rows as R[], rowCount }
    })
  }

  /** Opens the transaction with its first lock; false: somebody has it (`try`). When it throws, nothing is open. */
  async acquire(key: SqlLockKey, mode: Mode, waitMs?: number): Promise<boolean> {
    const limit = waitMs === undefined ? '' : `set local lock_timeout = ${Math.max(1, Math.ceil(waitMs))};`
    return await this.#unit(() => {
      this.#open = true
      return this.#grab(`begin isolation level read committed; ${limit}`, key, mode, 'rollback')
    })
  }

  /** Takes another lock, of which nothing stays when it throws: not even an aborted transaction. */
  async push(key: SqlLockKey, mode: Mode): Promise<Level | undefined> {
    return await this.#unit(async () => {
      const name = `lock_${++this.#made}`
      if (!(await this.#grab(`savepoint ${name};`, key, mode, undo(name)))) return undefined
      const level = { name, ended: false }
      this.#levels.push(level)
      return level
    })
  }

  /**
   * Ends a level. Savepoints are a stack: to roll back to a lower one would free the locks of those above it, so it stays until
   * they have ended. Something is asked in any case: the answer proves that the lock was held until now.
   */
  async pop(level: Level): Promise<void> {
    level.ended = true
    await this.#unit(async () => {
      const above = this.#levels.findLastIndex((one) => !one.ended)
      const [lowest] = this.#levels.splice(above + 1)
      await this.#send(lowest ? undo(lowest.name) : 'select 1')
    })
  }

  /** Its success proves that the locks were held until now. */
  async commit(): Promise<void> {
    await this.#unit(async () => {
      // The server answers ROLLBACK, and no error, when the transaction was aborted.
      const [answer] = await this.#send('commit')
      if (answer?.command !== 'COMMIT') this.#lose(new Error(`the server answered ${answer?.command} to COMMIT`))
      this.#open = false
    })
  }

  async rollback(): Promise<void> {
    await this.#unit(() => this.#send('rollback'))
    this.#open = false
  }

  async holderOf({ tag }: SqlLockKey): Promise<LockHolder | undefined> {
    const { rows } = await this.query<LockHolder>(
      `select l.pid, a.application_name as "applicationName", a.state,
              (extract(epoch from clock_timestamp() - a.xact_start) * 1000)::float as "heldMs"
         from pg_locks l left join pg_stat_activity a on a.pid = l.pid
        where l.locktype = 'advisory' and l.granted and l.pid <> pg_backend_pid()
          and l.database = (select oid from pg_database where datname = current_database())
          and l.classid = ${tag.classid} and l.objid = ${tag.objid} and l.objsubid = ${tag.objsubid} limit 1`,
    )
    return rows[0]
  }

  /** Back to the pool; a lost one is there already. */
  giveBack(): void {
    if (this.#open) this.#lose(new Error('its transaction could not be ended'))
    if (!this.#given) return
    this.#leave()
    this.#client.release()
  }

  async #grab(open: string, key: SqlLockKey, mode: Mode, otherwise: string): Promise<boolean> {
    const call = mode === 'try' ? 'pg_try_advisory_xact_lock' : 'pg_advisory_xact_lock'
    let locked = false
    try {
      const answers = await this.#send(`${open} select ${call}(${key.arguments}) as locked`)
      locked = mode === 'wait' || (answers.at(-1)?.rows[0] as { locked: boolean } | undefined)?.locked === true
      return locked
    } finally {
      if (!locked && !this.lost) {
        await this.#send(otherwise)
        this.#open = otherwise !== 'rollback'
      }
    }
  }

  /** One unit after the other: statements of one connection never overlap, and nobody gets between the parts of a unit. */
  #unit<T>(body: () => Promise<T>): Promise<T> {
    const result = this.#last.then(() => {
      if (this.#loss) throw lossOf(this.#loss.cause)
      return body()
    })
    this.#last = result.catch(() => undefined)
    return result
  }

  async #send(sql: string): Promise<Answer[]> {
    this.#watch(this.#limits.answerMs)
    try {
      return await new Promise<Answer[]>((resolve, reject) => {
        // A connection that is cut off never answers.
        const onLost = (cause: unknown): void => reject(lossOf(cause))
        this.#watchers.add(onLost)
        this.#client
          .query(sql)
          .then((answer) => resolve([answer as Answer | Answer[]].flat()), reject)
          .finally(() => this.#watchers.delete(onLost))
      })
    } catch (error) {
      if (endsConnection(error) || isConnectionLoss(error)) this.#lose(error)
      throw error
    } finally {
      this.#watch(this.#limits.idleInTransactionMs)
    }
  }

  /** For a network that swallows everything: the server has ended the transaction by then, and its word did not come. */
  #watch(ms: number): void {
    clearTimeout(this.#watchdog)
    if (!this.#given) return
    this.#watchdog = setTimeout(() => this.#lose(new Error(`no word from the server for ${ms} ms`)), ms + SILENCE_MS)
    this.#watchdog.unref()
  }

  readonly #onEnd = (): void => this.#lose(undefined)

  readonly #lose = (cause: unknown): void => {
    if (this.#loss || !this.#given) return
    this.#loss = { cause }
    this.#leave()
    discardClient(this.#client)
    for (const watcher of [...this.#watchers]) watcher(cause)
    this.#watchers.clear()
  }

  #leave(): void {
    this.#given = false
    clearTimeout(this.#watchdog)
    this.#client.off('error', this.#lose).off('end', this.#onEnd)
  }
}

interface Answer {
  readonly command: string
  readonly rows: unknown[]
  readonly rowCount: number | null
}

const undo = (name: string): string => `rollback to savepoint ${name}; release savepoint ${name}`

const lossOf = (cause: unknown): unknown => cause ?? new Error('the connection was closed without a word')
