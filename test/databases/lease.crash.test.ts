import { afterEach, beforeEach, expect, test } from 'vitest'
import { readTemplate, registerDatabase } from '../../src/coordination/index.ts'
import { ident } from '../../src/postgres/index.ts'
import { RETENTION, sweep } from '../../src/templates/sweep.ts'
import { spawnActor } from '../helpers/actor.ts'
import { startPrivatePostgres } from '../helpers/private-postgres.ts'
import { collect, eventually } from '../helpers/wait.ts'
import { type Template, type TestRun, World } from '../helpers/world.ts'

let world: World
let run: TestRun
let template: Template
beforeEach(async () => {
  world = await World.create()
  run = await world.run()
  template = await world.template({}, run)
})
afterEach(async () => {
  await run.end()
  await world.close()
})

test('a worker is killed with a lease: nobody gets its dirty database, and what it left running is ended', async () => {
  const context = world.context(run, template)
  const actor = spawnActor('lease', { context, sql: `insert into items (name) values ('dirty')` })
  const name = await actor.said<string>('leased')
  const orphan = await eventually('its statement runs', async () => {
    const { rows } = await world.session.query<{ pid: number }>(
      `select pid from pg_stat_activity where datname = $1 and query = 'select pg_sleep(600)' and state = 'active'`,
      [name],
    )
    return rows[0]?.pid
  })
  // While it lives it is left alone.
  const other = await world.acquire(context, '2')
  expect(other.name).not.toBe(name)
  await other.release()

  await actor.kill()
  await eventually('its lease is free', async () => {
    const { rowCount } = await world.session.query(
      `select from pg_locks l join pg_database d on d.oid = l.database where d.datname = $1 and locktype = 'advisory'`,
      [name],
    )
    return rowCount === 0
  })
  using pruned = collect('database.pruned')
  const next = await world.acquire(context, '1')
  expect(next.name).not.toBe(name)
  expect(pruned.events).toMatchObject([{ database: name }])
  expect(await world.databases()).not.toContain(name)
  expect((await world.session.query('select from pg_stat_activity where pid = $1', [orphan])).rowCount).toBe(0)
  expect((await world.session.query('select from testdb.databases where name = $1', [name])).rowCount).toBe(0)
})

test('a process is killed between name and clone: the sweep forgets it, but only when it is dead', async () => {
  const actor = spawnActor('register', { admin: world.admin, project: world.project, templateId: template.id })
  const name = await actor.said<string>('registered')
  // Its CREATE DATABASE has come through.
  await world.session.query(`create database ${ident(name)}`)
  const scope = { retention: RETENTION }
  expect(await sweep(world.session, scope)).toEqual({ dropped: [] })
  expect(await world.databases()).toContain(name)

  await actor.kill()
  await eventually('its run is over', async () => {
    await sweep(world.session, scope)
    // It had two sessions, and they do not end in one moment.
    const { rowCount } = await world.session.query('select from testdb.runs')
    return !(await world.databases()).includes(name) && rowCount === 1
  })
  expect((await world.session.query('select from testdb.databases where name = $1', [name])).rowCount).toBe(0)
  const { rows } = await world.session.query('select id from testdb.runs')
  expect(rows).toEqual([{ id: run.id }])
})

test('a clone that the server still makes for a dead run is not forgotten', async () => {
  // The run is dead, but the session that makes the clone is not: then its name must stay known.
  const session = await world.open()
  const dead = await world.run()
  const name = await registerDatabase(session, {
    templateId: template.id,
    runId: dead.id,
    slot: '1',
    project: world.project,
  })
  await dead.end()
  await sweep(world.session, { retention: RETENTION })
  expect((await world.session.query('select from testdb.databases where name = $1', [name])).rowCount).toBe(1)
  await session.close()
  await sweep(world.session, { retention: RETENTION })
  expect((await world.session.query('select from testdb.databases where name = $1', [name])).rowCount).toBe(0)
})

test('a database that is dropped while it is leased: the next reset says so, and the process lives on', async () => {
  const actor = spawnActor('dropped', { context: world.context(run, template) })
  const name = await actor.said<string>('leased')
  await world.session.query(`drop database ${ident(name)} with (force)`)
  actor.tell('reset')
  expect(await actor.said('result')).toBe('TESTDB_LEASE_LOST')
  expect(await actor.ended()).toEqual({ code: 0, stderr: '' })
  expect(await world.databases()).toEqual([template.name])
})

test('a server that recovers from a crash: what it has emptied is not trusted', async () => {
  const server = await startPrivatePostgres()
  try {
    const place = await World.create(server.admin)
    const first = await place.run()
    const sql = 'create table items (id serial primary key, name text); create unlogged table flags (name text)'
    const built = await place.template(
      { sql, seed: `insert into items (name) values ('seed'); insert into flags values ('on')` },
      first,
    )
    const idle = await place.acquire(place.context(first, built))
    const held = await place.acquire(place.context(first, built))
    await idle.release()

    const { session } = held
    // With synchronous_commit off a crash loses the last commits; here it shall lose what is unlogged and nothing else.
    await place.session.query('checkpoint')
    process.kill(session.backendPid, 'SIGKILL')
    await eventually('the sessions are lost', () => place.session.lost.aborted && session.lost.aborted)
    const after = await eventually('the server is back', () => place.open().catch(() => undefined))
    expect(await readTemplate(after, built.id)).toMatchObject({ state: 'sealed' })

    const context = place.context(first, built)
    for (let round = 0; round < 2; round++) {
      const lease = await place.acquire(context)
      expect(lease.name).not.toBe(held.name)
      const tests = await place.connect(lease.name, 'role')
      expect((await tests.query('select items.name as item, flags.name as flag from items, flags')).rows).toEqual([
        { item: 'seed', flag: 'on' },
      ])
      await tests.query('delete from flags')
      await tests.close()
      await lease.release()
    }
    const { rows } = await after.query<{ name: string }>('select name from testdb.databases')
    expect(rows.map((row) => row.name)).not.toContain(idle.name)
    // The second round has taken the database of the first one again.
    expect(rows).toHaveLength(1)
  } finally {
    await server.stop()
  }
})
