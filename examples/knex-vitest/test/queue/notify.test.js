import { beforeEach, describe, expect, test } from 'vitest'
import * as jobs from '../../src/repositories/jobs.js'
import { useDb } from '../helpers/app.js'
import { insertTenant } from '../helpers/factories.js'
import { listen } from '../helpers/listen.js'

const ctx = useDb()
let acme
let channel

beforeEach(async () => {
  acme = (await insertTenant(ctx.db)).scope
})

// To see that a notification did not come, another one is sent behind it: they arrive in the order of commits.
const marker = () => jobs.enqueue(acme, { kind: 'marker' })

describe('a new job', () => {
  beforeEach(async () => {
    channel = await listen('jobs')
  })

  test('notifies whoever listens', async () => {
    await jobs.enqueue(acme, { kind: 'report' })
    expect(await channel.next()).toEqual({ id: 1, tenant_id: 1, kind: 'report' })
  })

  test('notifies once per row', async () => {
    await acme.insert('jobs', [{ kind: 'a' }, { kind: 'b' }, { kind: 'c' }])

    const kinds = [await channel.next(), await channel.next(), await channel.next()].map(({ kind }) => kind)
    expect(kinds).toEqual(['a', 'b', 'c'])
  })

  test('notifies when its transaction commits, not before', async () => {
    const trx = await ctx.db.transaction()
    await trx('jobs').insert({ tenant_id: acme.tenantId, kind: 'in transaction' })
    await marker()
    expect((await channel.next()).kind).toBe('marker')

    await trx.commit()
    expect((await channel.next()).kind).toBe('in transaction')
  })

  test('does not notify when its transaction is rolled back', async () => {
    const trx = await ctx.db.transaction()
    await trx('jobs').insert({ tenant_id: acme.tenantId, kind: 'never' })
    await trx.rollback()
    await marker()

    expect((await channel.next()).kind).toBe('marker')
  })

  test('does not notify when it is changed', async () => {
    const job = await jobs.enqueue(acme, { kind: 'report' })
    await channel.next()
    await jobs.cancel(acme, job.id)
    await marker()

    expect((await channel.next()).kind).toBe('marker')
  })
})

test('every listener gets the notification', async () => {
  const listeners = [await listen('jobs'), await listen('jobs')]
  await jobs.enqueue(acme, { kind: 'report' })

  const received = await Promise.all(listeners.map((listener) => listener.next()))
  expect(received.map(({ id }) => id)).toEqual([1, 1])
})
