/** The contract of every kind of server: how it is reached, what it can do, how it is let go. */
import type { ConnectionTarget, ServerAddress, Session } from '../postgres/index.ts'
import type { Capabilities } from './capabilities.ts'

export interface Server {
  readonly kind: 'embedded' | 'url' | 'testcontainers'
  /** The maintenance database as the admin role: where elections, runs and the registry live. */
  readonly admin: ConnectionTarget
  /**
   * Where tests reach the server; the same server as `admin`, but always an address that any driver takes
   * (TCP on servers we start). User, password and database are filled in by the caller.
   */
  readonly address: ServerAddress
  /** What the server and the admin role can do; what they can't is said, never imitated. */
  readonly capabilities: Capabilities
  /** Major version, for example 18. */
  readonly major: number
  /** One line for people: kind, version, place. Never has a password. */
  readonly summary: string
  /** True when testdb started this server and may treat everything on it as its own. */
  readonly ours: boolean
  /** Open, and the caller's to use and to close, where it has asked to stay connected and there was one: it is on `admin`. */
  readonly session?: Session
  /** Lets the server go; an embedded one stops by itself when nobody is left. */
  release(): Promise<void>
}
