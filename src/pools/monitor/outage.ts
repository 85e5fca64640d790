/** Connections that were ended by the server, and when the pool works again: each outage is told once. */
import { publish } from '../../events.ts'
import type { MonitorLogger } from './options.ts'
import type { Request } from './source.ts'

export class Outage {
  readonly #pool: string
  readonly #logger: MonitorLogger
  #lost = 0
  #now: { readonly since: number; readonly cause: string; count: number; wanted: number | undefined } | undefined

  constructor(pool: string, logger: MonitorLogger) {
    this.#pool = pool
    this.#logger = logger
  }

  /** Connections that were lost so far. */
  get lost(): number {
    return this.#lost
  }

  begin(error: Error): void {
    this.#lost++
    if (this.#now) {
      this.#now.count++
      return
    }
    this.#now = { since: performance.now(), cause: error.message, count: 1, wanted: undefined }
    this.#logger.warn(`testdb: pool "${this.#pool}": a connection was ended: ${error.message}`)
  }

  /** Somebody asks for a connection: from now on it matters. */
  wanted(request: Request): void {
    if (this.#now) this.#now.wanted ??= request.since
  }

  /** Only a request from after the loss proves that the pool is back. */
  granted(request: Request): void {
    const outage = this.#now
    if (!outage || request.since < outage.since) return
    this.#now = undefined
    const downMs = performance.now() - (outage.wanted ?? request.since)
    const what = `pool "${this.#pool}"`
    const connections = outage.count === 1 ? '1 connection' : `${outage.count} connections`
    this.#logger.info(
      `testdb: ${what} has connections again after ${Math.round(downMs)} ms; lost were ${connections}: ${outage.cause}`,
    )
    publish('connection.recovered', { what, cause: outage.cause, downMs })
  }
}
