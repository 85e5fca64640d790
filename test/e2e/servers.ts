/** The embedded servers of the tests' projects: looking into them, and removing them with their data. */
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { type Session, withSession } from '../../src/postgres/index.ts'
import { chooseAccount } from '../../src/server/embedded/account.ts'
import { startEmbedded, stopEmbedded } from '../../src/server/embedded/index.ts'
import { existingLayouts } from '../../src/server/embedded/locations.ts'

export interface ServerPlace {
  readonly projectRoot: string
  readonly cacheDir?: string | undefined
}

/** Stops the servers of a project and removes their data, wherever it lies. */
export async function removeServers(place: ServerPlace): Promise<void> {
  await stopEmbedded(place)
  for (const { memoryCluster, folder } of await existingLayouts(place, chooseAccount())) {
    await rm(path.dirname(memoryCluster), { recursive: true, force: true })
    await rm(folder, { recursive: true, force: true })
  }
}

/** Connects as the admin to the project's server; starts it when it has gone to sleep. */
export async function asAdmin<T>(place: ServerPlace, body: (session: Session) => Promise<T>): Promise<T> {
  const { admin } = await startEmbedded({ ...place, idleMs: 5_000 })
  return withSession(admin, { applicationName: 'e2e test' }, body)
}

export interface Inventory {
  readonly templates: readonly {
    readonly name: string
    readonly state: string
    readonly attempt: number
    readonly oid: number | null
  }[]
  readonly databases: readonly { readonly name: string; readonly state: string; readonly oid: number | null }[]
}

/** What the registry of the server lists, with the catalog's oids: equal inventories mean that nothing was made or replaced. */
export async function inventory(place: ServerPlace): Promise<Inventory> {
  return asAdmin(place, inventoryOf)
}

/** The same for a server that the session is connected to. */
export async function inventoryOf(session: Session): Promise<Inventory> {
  const templates = await session.query<Inventory['templates'][number]>(
    `select t.name, t.state, t.attempt, d.oid::int from testdb.templates t left join pg_database d on d.datname = t.name order by t.id`,
  )
  const databases = await session.query<Inventory['databases'][number]>(
    `select t.name, t.state, d.oid::int from testdb.databases t left join pg_database d on d.datname = t.name order by t.id`,
  )
  return { templates: templates.rows, databases: databases.rows }
}

/** Expects nothing of testdb's on the server but sealed templates and clean databases that nobody holds. Returns the complaints. */
export async function findLeftovers(place: ServerPlace): Promise<string[]> {
  return asAdmin(place, leftoversOf)
}

/** The same for a server that the session is connected to; every database of testdb's on it must be of this registry. */
export async function leftoversOf(session: Session): Promise<string[]> {
  const found: string[] = []
  const known = await session.query<{ name: string; state: string }>(
    `select name, state from testdb.databases union all select name, state from testdb.templates where state <> 'missing'`,
  )
  const states = new Map(known.rows.map(({ name, state }) => [name, state]))
  const { rows } = await session.query<{ name: string; sealed: boolean }>(
    `select datname as name, datistemplate as sealed from pg_database where datname ~ '^testdb_' order by 1`,
  )
  for (const { name, sealed } of rows) {
    const state = states.get(name)
    if (state === undefined) found.push(`${name} is not in the registry`)
    else if (sealed) continue
    else if (state !== 'ready') found.push(`${name} is ${state}`)
    else {
      await withSession({ ...session.target, database: name }, { applicationName: 'e2e test' }, async (inside) => {
        const lease = await inside.query<{ held: boolean; clean: boolean }>('select held, clean from testdb.lease')
        const row = lease.rows[0]
        if (row?.held !== false || !row.clean) found.push(`${name} is ${JSON.stringify(row)}`)
      })
    }
  }
  const sessions = await session.query<{ who: string }>(
    `select application_name || ' on ' || datname as who from pg_stat_activity
      where backend_type = 'client backend' and pid <> pg_backend_pid() and application_name not like 'testdb supervisor%'`,
  )
  found.push(...sessions.rows.map(({ who }) => `session ${who}`))
  return found
}
