/** What a `pg.Pool` and a Knex instance have in common: counts, and what happens to them. Of any copy of the packages. */

/** One request for a connection; the same object at its beginning and its end. */
export interface Request {
  /** `performance.now()` of its beginning. */
  readonly since: number
}

export interface PoolListener {
  requested(): Request
  granted(request: Request): void
  failed(request: Request, error: unknown): void
  /** More connections are in use than before. */
  taken(): void
  /** A connection is there: a new one, or one from before. */
  opened(connection: object): void
  closed(connection: object): void
  /** The server, or the network, has ended a connection. */
  lost(error: Error): void
}

export interface PoolCounts {
  /** Connections that somebody has, those that are being made included. */
  readonly inUse: number
  readonly idle: number
  /** Requests for a connection that is not there. */
  readonly waiting: number
}

export interface PoolSource {
  /** What its sessions are called on the server, if they are called something. */
  readonly applicationName: string | undefined
  /** Connections at most. */
  readonly max: number
  counts(): PoolCounts
  /** It has been closed by its owner, and no connection is in use any more. */
  ended(): boolean
  /** Watches until what is returned is called. */
  watch(listener: PoolListener): () => void
}

export interface Emitter {
  on(event: string, listener: (...args: never[]) => void): unknown
  removeListener(event: string, listener: (...args: never[]) => void): unknown
}

/** In options, or in their connection string. */
export function nameIn(options: unknown): string | undefined {
  if (typeof options === 'string') return /[?&]application_name=([^&]+)/.exec(options)?.[1]
  const given = (options ?? {}) as { readonly application_name?: unknown; readonly connectionString?: unknown }
  if (typeof given.application_name === 'string' && given.application_name !== '') return given.application_name
  return typeof given.connectionString === 'string' ? nameIn(given.connectionString) : undefined
}
