/** Knex's own Postgres client with pg-mem in the place of its driver. */
import type { Driver } from './emulation.ts'

type ClientClass = new (...args: never[]) => object
type Factory = (config: never) => unknown

/** `knex`: the package of the project. `client`: what the project has configured. */
export function knexClient(knex: Factory, client: unknown, driver: Driver): ClientClass {
  const create = knex as (config: { client: string }) => { readonly client: { readonly constructor: unknown } }
  // Without a connection it loads no driver.
  const Base = (typeof client === 'function' ? client : create({ client: 'pg' }).client.constructor) as ClientClass
  return class PgMemClient extends Base {
    /** Knex asks a server that has none yet, with a function that pg-mem does not know. */
    readonly version = 'pg-mem'
    _driver(): Driver {
      return driver
    }
  }
}
