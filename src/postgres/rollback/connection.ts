/** A connection that is made on first use and again after a loss, and does one piece of work after the other. */
import pg from 'pg'

/** What the driver has on every version we support, and its types do not. */
interface KeepsAlive {
  readonly processID: number
  ref?(): void
  unref?(): void
}

/** `begin`: a statement for each new connection. */
export type QueuedConfig = pg.ClientConfig & { readonly begin?: string }

export class QueuedConnection {
  readonly #config: QueuedConfig
  readonly #onLost: (why: Error) => void
  readonly #onNotice: (notice: unknown) => void
  #client: (pg.Client & KeepsAlive) | undefined
  #opening: Promise<pg.Client> | undefined
  #waiting = 0
  #last: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(config: QueuedConfig, onLost: (why: Error) => void, onNotice: (notice: unknown) => void) {
    this.#config = config
    this.#onLost = onLost
    this.#onNotice = onNotice
  }

  /** Undefined before its first use and after a loss. */
  get client(): pg.Client | undefined {
    return this.#client
  }

  get backendPid(): number | undefined {
    return this.#client?.processID
  }

  /** True while something runs or waits to run. */
  get busy(): boolean {
    return this.#waiting > 0
  }

  async connect(): Promise<pg.Client> {
    if (this.#closed) throw new Error('Connection terminated')
    if (this.#client) return this.#client
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined
    })
    return await this.#opening
  }

  /** Runs `work` when all that came before has ended; while something runs, the process stays alive. */
  async enqueue<T>(work: () => Promise<T>): Promise<T> {
    this.#waiting++
    this.#client?.ref?.()
    const result = this.#last.then(work)
    this.#last = result.catch(() => undefined)
    try {
      return await result
    } finally {
      if (--this.#waiting === 0) this.#client?.unref?.()
    }
  }

  /** Runs SQL of ours, outside of the queue; gives the result of its last statement. */
  async send(sql: string): Promise<pg.QueryResult> {
    if (!this.#client) throw new Error('Connection terminated unexpectedly')
    // The driver gives an array when there was more than one statement.
    const results = [await this.#client.query(sql)].flat() as pg.QueryResult[]
    return results.at(-1) as pg.QueryResult
  }

  /** Ends it, whatever it does. */
  async close(): Promise<void> {
    this.#closed = true
    const client = this.#client ?? (await this.#opening?.catch(() => undefined))
    this.#drop(new Error('Connection terminated'))
    await client?.end().catch(() => undefined)
  }

  async #open(): Promise<pg.Client> {
    const client = new pg.Client(this.#config) as pg.Client & KeepsAlive
    const lost = (error: Error): void => {
      if (this.#client === client) this.#drop(error)
    }
    client.on('error', lost)
    client.on('end', () => lost(new Error('Connection terminated unexpectedly')))
    client.on('notice', this.#onNotice)
    await client.connect()
    if (this.#config.begin !== undefined) await client.query(this.#config.begin)
    this.#client = client
    return client
  }

  #drop(why: Error): void {
    // Its end is waited for: who closes it wants its locks gone.
    this.#client?.ref?.()
    this.#client = undefined
    this.#onLost(why)
  }
}
