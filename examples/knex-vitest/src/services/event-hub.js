import pg from 'pg'
import * as events from '../repositories/events.js'
import { TenantScope } from '../repositories/scope.js'

/**
 * Hands new events to the subscribers of their tenant. One LISTEN connection serves the whole app; it is opened
 * for the first subscriber and closed after the last. When it is lost all subscriptions end: browsers then
 * reconnect with Last-Event-ID and get what they missed from the table.
 */
export class EventHub {
  #subscriptions = new Set()
  #listener
  #delivering = Promise.resolve()
  #closing = Promise.resolve()

  constructor({ db, databaseUrl }) {
    this.db = db
    this.databaseUrl = databaseUrl
  }

  get subscriberCount() {
    return this.#subscriptions.size
  }

  /** Resolves when events are certain to arrive. Returns a function that ends the subscription. */
  async subscribe(tenantId, { onEvent, onEnd }) {
    const subscription = { tenantId, onEvent, onEnd }
    this.#subscriptions.add(subscription)
    try {
      this.#listener ??= this.#listen()
      await this.#listener
    } catch (error) {
      this.#unsubscribe(subscription)
      throw error
    }
    return () => this.#unsubscribe(subscription)
  }

  async close() {
    this.#endAll()
    await this.#delivering
    await this.#closing
  }

  async #listen() {
    const client = new pg.Client({ connectionString: this.databaseUrl })
    client.on('error', () => this.#lost(client))
    client.on('end', () => this.#lost(client))
    client.on('notification', ({ payload }) => {
      // One after the other: reading the rows side by side could change their order.
      this.#delivering = this.#delivering.then(() => this.#deliver(JSON.parse(payload)))
    })
    await client.connect()
    await client.query('listen events')
    return client
  }

  async #deliver({ id, tenant_id }) {
    const receivers = () => [...this.#subscriptions].filter(({ tenantId }) => tenantId === tenant_id)
    if (receivers().length === 0) return
    try {
      const event = await events.get(new TenantScope(this.db, { tenantId: tenant_id }), id)
      if (event) for (const { onEvent } of receivers()) onEvent(event)
    } catch {
      this.#endAll()
    }
  }

  #unsubscribe(subscription) {
    this.#subscriptions.delete(subscription)
    if (this.#subscriptions.size === 0) this.#closeListener()
  }

  #endAll() {
    const ended = [...this.#subscriptions]
    this.#subscriptions.clear()
    this.#closeListener()
    for (const { onEnd } of ended) onEnd()
  }

  async #lost(client) {
    const current = await this.#listener?.catch(() => undefined)
    if (current === client) this.#endAll()
  }

  #closeListener() {
    const listener = this.#listener
    this.#listener = undefined
    if (!listener) return
    const ended = listener.then(
      (client) => client.end(),
      () => {},
    )
    this.#closing = Promise.all([this.#closing, ended])
  }
}
