/** A server that has no connection left for moments, and one that has none at all. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { closeKnex, knexConfig, openKnex } from '../../src/pools/knex.ts'
import { DEFAULT_LIMITS } from '../../src/pools/limits.ts'
import {
  type ConnectionTarget,
  closePool,
  isServerFull,
  openPool,
  Session,
  sqlstateOf,
} from '../../src/postgres/index.ts'
import { packagesRoot } from '../helpers/packages.ts'
import { type PrivatePostgres, startPrivatePostgres } from '../helpers/private-postgres.ts'
import { errorOf, within } from '../helpers/wait.ts'

const MAX = 12

let server: PrivatePostgres
let observer: Session
let plain: ConnectionTarget
beforeAll(async () => {
  server = await startPrivatePostgres({ maxConnections: MAX })
  observer = await Session.open(server.admin, { applicationName: 'observer' })
  await observer.query('create role plain login')
  await observer.query('create database small connection limit 1')
  plain = { ...server.admin, user: 'plain' }
})
afterAll(async () => {
  await observer?.close()
  await server?.stop()
})

/** Takes every connection that there is. */
async function fill(): Promise<Session[]> {
  const taken: Session[] = []
  for (;;) {
    try {
      taken.push(await Session.open(server.admin, { applicationName: 'filler', fullPatienceMs: 0 }))
    } catch (error) {
      expect(isServerFull(error)).toBe(true)
      return taken
    }
  }
}
const empty = (taken: Session[]): Promise<unknown> => Promise.all(taken.map((session) => session.close()))

/** How each of our ways to connect answers a query, and what it needs to be closed. */
const ways = {
  'a session': async () => {
    await using session = await Session.open(server.admin, { applicationName: 'waits' })
    return (await session.query('select 1 as one')).rows
  },
  'a pool': async () => {
    const pool = openPool(plain, DEFAULT_LIMITS, 'waits')
    return (await pool.query('select 1 as one').finally(() => closePool(pool, 100))).rows
  },
  'a pool, with callbacks': async () => {
    const pool = openPool(plain, DEFAULT_LIMITS, 'waits')
    const rows = new Promise<unknown[]>((resolve, reject) => {
      pool.connect((error, client, release) => {
        if (error || !client) return reject(error)
        client.query('select 1 as one', (failure, result) => {
          release()
          if (failure) reject(failure)
          else resolve(result.rows)
        })
      })
    })
    return await rows.finally(() => closePool(pool, 100))
  },
  Knex: async () => {
    const knex = openKnex(packagesRoot, knexConfig(plain, DEFAULT_LIMITS, 'waits', packagesRoot))
    const { rows } = await knex.raw('select 1 as one').finally(() => closeKnex(knex, 100))
    return rows as unknown[]
  },
}

test.each(Object.entries(ways))('%s waits while the server is full', async (_, query) => {
  const taken = await fill()
  expect(taken).toHaveLength(MAX - 1)
  let answered = false
  const answer = query().finally(() => {
    answered = true
  })
  // Only when it was refused for sure may there be room: each refusal is counted by who sees that nothing was answered.
  expect(sqlstateOf(await errorOf(Session.open(server.admin, { applicationName: 'x', fullPatienceMs: 0 })))).toBe(
    '53300',
  )
  expect(answered).toBe(false)
  await empty(taken)
  expect(await within('it is answered', answer, 5_000)).toEqual([{ one: 1 }])
})

test('who waits in vain is told what the server said, in time', async () => {
  const taken = await fill()
  const pool = openPool(plain, { ...DEFAULT_LIMITS, acquireMs: 500 }, 'waits')
  expect(sqlstateOf(await errorOf(pool.query('select 1')))).toBe('53300')
  await closePool(pool, 100)
  await empty(taken)
})

test('the limit of a database is no reason to wait, whatever language the server speaks', async () => {
  const target = { ...plain, database: 'small' }
  const first = await Session.open(target, { applicationName: 'first' })
  const startedAt = performance.now()
  const refused = await errorOf(Session.open(target, { applicationName: 'second', fullPatienceMs: 60_000 }))
  expect(sqlstateOf(refused)).toBe('53300')
  expect(isServerFull(refused)).toBe(false)
  expect(performance.now() - startedAt).toBeLessThan(30_000)
  await first.close()
})
