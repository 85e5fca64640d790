/**
 * One pinned connection. Everything that must die with its process (a lead, a run, a lease) hangs on a `Session`: the
 * server frees its locks when the connection ends, whatever the process was doing.
 */
import pg from 'pg'
import { TestDbError } from '../errors.ts'
import { type ConnectionTarget, describeTarget } from './target.ts'

/** How soon the server notices, inside a statement, that our process is gone (ms). Below a human's patience, above noise. */
const CLIENT_CHECK_MS = 250

export interface SessionOptions {
  /** Shown in `pg_stat_activity`, so that whoever looks knows who holds the connection. */
  readonly applicationName: string
  /** Milliseconds until a connection attempt is given up. @default 10_000 */
  readonly connectTimeoutMs?: number
  /** Server settings for this session, sent after connecting. */
  readonly settings?: Readonly<Record<string, string>>
}

export interface Notification {
  readonly channel: string
  readonly payload: string
}

/** One statement's result; `rowCount` is null for statements that count nothing. */
export interface QueryResult<R> {
  readonly rows: R[]
  readonly rowCount: number | null
}

export class Session implements AsyncDisposable {
  readonly target: ConnectionTarget
  /** Process id of the backend on the server. */
  readonly backendPid: number
  /** Aborts when the connection ends without `close()`; its reason is a `TESTDB_SERVER_LOST` error. */
  readonly lost: AbortSignal
  readonly #client: pg.Client
  #closing = false

  private constructor(target: ConnectionTarget, client: pg.Client, lost: AbortController) {
    this.target = target
    this.#client = client
    this.backendPid = (client as pg.Client & { processID: number }).processID
    this.lost = lost.signal
    // Without an error listener a connection that the server ends would take the whole process down.
    let cause: unknown
    client.on('error', (error) => {
      cause ??= error
    })
    client.on('end', () => {
      if (this.#closing) return
      const what = `the connection to ${describeTarget(target)} ended unexpectedly`
      lost.abort(new TestDbError('TESTDB_SERVER_LOST', what, { cause }))
    })
  }

  /** Opens a connection; throws what the driver throws, so callers can tell a wrong password from a missing database. */
  static async open(target: ConnectionTarget, options: SessionOptions): Promise<Session> {
    const client = new pg.Client({
      ...target,
      application_name: options.applicationName,
      connectionTimeoutMillis: options.connectTimeoutMs ?? 10_000,
      keepAlive: true,
    } as pg.ClientConfig)
    const lost = new AbortController()
    await client.connect()
    const session = new Session(target, client, lost)
    try {
      await session.#configure(options.settings ?? {})
    } catch (error) {
      await session.close()
      throw error
    }
    return session
  }

  async #configure(settings: Readonly<Record<string, string>>): Promise<void> {
    // Not in the start-up packet: poolers refuse `options`, and Windows servers refuse client_connection_check_interval.
    const all = Object.entries(settings)
    await this.query(
      `select set_config('client_connection_check_interval', '${CLIENT_CHECK_MS}', false)
         from pg_settings where name = 'client_connection_check_interval' and version() !~* 'windows|mingw|msvc'`,
    )
    for (const [name, value] of all) await this.query('select set_config($1, $2, false)', [name, value])
  }

  async query<R = Record<string, unknown>>(text: string, values: readonly unknown[] = []): Promise<QueryResult<R>> {
    if (this.lost.aborted) throw this.lost.reason
    const result = await (values.length === 0
      ? this.#client.query(text)
      : this.#client.query(text, values as unknown[]))
    return { rows: result.rows as R[], rowCount: result.rowCount }
  }

  /** Runs `body` in a transaction: commits when it returns, rolls back when it throws. */
  async transaction<T>(body: () => Promise<T>): Promise<T> {
    await this.query('begin')
    try {
      const result = await body()
      await this.query('commit')
      return result
    } catch (error) {
      // The first error is the one that matters; a rollback that fails means that the connection is gone anyway.
      await this.query('rollback').catch(() => undefined)
      throw error
    }
  }

  /** Calls `listener` for every notification that this session receives; returns the function that ends it. */
  onNotification(listener: (notification: Notification) => void): () => void {
    const onMessage = (message: pg.Notification): void => {
      listener({ channel: message.channel, payload: message.payload ?? '' })
    }
    this.#client.on('notification', onMessage)
    return () => void this.#client.off('notification', onMessage)
  }

  /** Lets the process exit although this connection is open. */
  unref(): void {
    ;(this.#client as pg.Client & { connection: { stream: { unref?: () => void } } }).connection.stream.unref?.()
  }

  /** Keeps the process alive again while this connection is open. */
  ref(): void {
    ;(this.#client as pg.Client & { connection: { stream: { ref?: () => void } } }).connection.stream.ref?.()
  }

  /** Ends the connection; its locks are free when this resolves. Never throws. */
  async close(): Promise<void> {
    if (this.#closing) return
    this.#closing = true
    await this.#client.end().catch(() => undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/** Opens a session, hands it to `body` and closes it whatever happens. */
export async function withSession<T>(
  target: ConnectionTarget,
  options: SessionOptions,
  body: (session: Session) => Promise<T>,
): Promise<T> {
  const session = await Session.open(target, options)
  try {
    return await body(session)
  } finally {
    await session.close()
  }
}
