import pg from 'pg'
import * as jobs from '../repositories/jobs.js'
import { TenantScope } from '../repositories/scope.js'

const POLL_MS = 30_000

/**
 * Takes jobs until the queue is empty, then sleeps until a NOTIFY says that there is a new one.
 * The slow poll is for jobs that become due later, and for notifications lost with their connection.
 */
export class QueueWorker {
  #stopped = true
  #listener
  #draining
  #again = false
  #timers = new Set()

  constructor({ db, handlers, name, databaseUrl = process.env.DATABASE_URL, reconnectMs = 1_000, log = console }) {
    Object.assign(this, { db, handlers, name, databaseUrl, reconnectMs, log })
  }

  /** Takes and runs one job; returns it, or undefined when none is due. */
  async runOne() {
    const job = await jobs.claim(this.db, this.name)
    if (!job) return undefined
    try {
      const handler = this.handlers[job.kind]
      if (!handler) throw new Error(`no handler for ${job.kind}`)
      await handler(new TenantScope(this.db, { tenantId: job.tenant_id }), job.payload)
      await jobs.complete(this.db, job)
    } catch (error) {
      await jobs.fail(this.db, job, error)
    }
    return job
  }

  /** Runs everything that is due; returns how many jobs that were. */
  async drain() {
    let count = 0
    while (await this.runOne()) count += 1
    return count
  }

  async start() {
    this.#stopped = false
    await this.#listen()
    this.#wake()
    this.#after(POLL_MS, () => this.#wake(), true)
  }

  async stop() {
    this.#stopped = true
    for (const timer of this.#timers) clearInterval(timer)
    this.#timers.clear()
    await this.#listener?.end()
    this.#listener = undefined
    await this.#draining
  }

  async #listen() {
    const client = new pg.Client({ connectionString: this.databaseUrl })
    client.on('error', () => this.#reconnect(client))
    client.on('end', () => this.#reconnect(client))
    client.on('notification', () => this.#wake())
    await client.connect()
    await client.query('listen jobs')
    if (this.#stopped) await client.end()
    else this.#listener = client
  }

  #reconnect(client) {
    if (this.#stopped || this.#listener !== client) return
    this.#listener = undefined
    this.#after(this.reconnectMs, async () => {
      try {
        await this.#listen()
        this.#wake()
      } catch {
        this.#reconnect()
      }
    })
  }

  /** One drain at a time; what arrives meanwhile asks for one more. */
  #wake() {
    if (this.#stopped) return
    if (this.#draining) {
      this.#again = true
      return
    }
    this.#draining = this.drain()
      .catch((error) => this.log.error(error))
      .finally(() => {
        this.#draining = undefined
        if (!this.#again) return
        this.#again = false
        this.#wake()
      })
  }

  #after(ms, fn, repeat = false) {
    const timer = repeat ? setInterval(fn, ms) : setTimeout(fn, ms)
    this.#timers.add(timer)
  }
}
