/** Where a call of a socket's `connect` leads. */
import type { Destination } from './handshakes.ts'
import type { ConnectionTarget } from './target.ts'

export type Address = Pick<ConnectionTarget, 'host' | 'port'>

const LOCAL = ['localhost', '127.0.0.1', '::1']

export interface Place extends Destination {
  readonly path?: unknown
  readonly port?: unknown
}

/** Of a call of `connect` with arguments of any of its forms. */
export function destinationOf(args: readonly unknown[]): Place {
  // `net.connect` hands over its arguments as an array.
  const [first, second] = Array.isArray(args[0]) ? (args[0] as unknown[]) : args
  if (typeof first === 'object' && first !== null) return first
  return { port: first, ...(typeof second === 'string' && { host: second }) }
}

export function leadsTo({ host, port }: Address, to: Place): boolean {
  if (host.startsWith('/')) return `${host}/.s.PGSQL.${port}` === (to.path ?? to.port)
  if (to.path !== undefined || Number(to.port) !== port) return false
  const name = typeof to.host === 'string' ? to.host : 'localhost'
  return name === host || (LOCAL.includes(name) && LOCAL.includes(host))
}
