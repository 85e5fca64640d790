/** Compares what the server has with databases that the migration tools have made without testdb. */
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import type { Knex } from 'knex'
import { formatUrl, ident, type Session, withSession } from '../../src/postgres/index.ts'
import { type Snapshot, snapshotDatabase } from '../helpers/snapshot.ts'
import type { MigrationSet } from './checkouts.ts'

/** What only one of the two has, and what says when the migrations were run. */
const BOOKKEEPING = /^"public"\."(knex_|testdb_)/
/** A crash of the server empties it in the template; a clone gets its rows back before anybody sees it. */
const UNLOGGED = '"public"."cache"'

/** Complaints about every sealed template, and about every idle database that says it is clean. */
export async function compareContent(session: Session, root: string): Promise<string[]> {
  const references = {
    shop: await reference(session, 'shop', path.join(root, 'shop-1')),
    blog: await reference(session, 'blog', path.join(root, 'blog')),
  }
  const found: string[] = []
  const check = (name: string, content: Snapshot, except: readonly string[]): void => {
    const set: MigrationSet = '"public"."teams"' in content.tables ? 'shop' : 'blog'
    if (essence(content, except) !== essence(references[set], except)) {
      found.push(`${name} is not what the migrations of ${set} make: ${JSON.stringify(content).slice(0, 2_000)}`)
    }
  }
  const templates = await session.query<{ name: string }>(
    `select name from testdb.templates where state = 'sealed' order by id`,
  )
  for (const { name } of templates.rows) {
    await session.query(`create database chaos_copy template ${ident(name)}`)
    check(name, await contentOf(session, 'chaos_copy'), [UNLOGGED])
    await session.query('drop database chaos_copy')
  }
  const clones = await session.query<{ name: string }>(
    `select name from testdb.databases where state = 'ready' order by id`,
  )
  for (const { name } of clones.rows) {
    const clean = await withSession(
      { ...session.target, database: name },
      { applicationName: 'chaos' },
      async (own) => {
        const { rows } = await own.query<{ held: boolean; clean: boolean }>('select held, clean from testdb.lease')
        return rows[0]?.held === false && rows[0].clean
      },
    )
    // What a dead worker has left is replaced by the next one that would take it.
    if (clean) check(name, await contentOf(session, name), [])
  }
  for (const set of ['shop', 'blog']) await session.query(`drop database chaos_${set}`)
  if (templates.rows.length === 0) found.push('there is no template to compare')
  return found
}

function essence({ tables, sequences }: Snapshot, except: readonly string[]): string {
  const counts = ([name]: readonly [string, unknown]): boolean => !BOOKKEEPING.test(name) && !except.includes(name)
  return JSON.stringify([Object.entries(tables).filter(counts), Object.entries(sequences).filter(counts)])
}

const contentOf = (session: Session, database: string): Promise<Snapshot> =>
  withSession({ ...session.target, database }, { applicationName: 'chaos' }, (own) => snapshotDatabase(own))

async function reference(session: Session, set: MigrationSet, folder: string): Promise<Snapshot> {
  const database = `chaos_${set}`
  await session.query(`create database ${database} template template0`)
  const migrations = path.join(folder, 'migrations')
  if (set === 'shop') {
    const { rows } = await session.query<{ port: string }>('show port')
    const { user, password } = session.target
    const connection = formatUrl({ host: '127.0.0.1', port: Number(rows[0]?.port), user, password, database })
    const makeKnex = createRequire(path.join(folder, 'package.json'))('knex') as (config: Knex.Config) => Knex
    const knex = makeKnex({ client: 'pg', connection, migrations: { directory: migrations } })
    await knex.migrate.latest().finally(() => knex.destroy())
  } else {
    await withSession({ ...session.target, database }, { applicationName: 'chaos' }, async (own) => {
      for (const file of readdirSync(migrations).sort())
        await own.query(readFileSync(path.join(migrations, file), 'utf8'))
    })
  }
  return await contentOf(session, database)
}
