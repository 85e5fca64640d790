import { beforeEach, describe, expect, test } from 'vitest'
import { useApp } from '../helpers/app.js'
import { createScenario, signUp } from '../helpers/factories.js'

const ctx = useApp()
let acme

beforeEach(async () => {
  acme = await signUp(ctx)
})

const at = (occurred_at) => acme.scope.insertOne('events', { type: 'test.event', occurred_at })
const partitionOf = async ({ id }) =>
  (await ctx.db('events').where({ id }).first(ctx.db.raw('tableoid::regclass as name'))).name

describe('the partitioned table events', () => {
  test('puts each event into the partition of its month', async () => {
    for (const [time, partition] of [
      ['2025-01-01T00:00:00Z', 'events_2025_01'],
      ['2025-01-31T23:59:59Z', 'events_2025_01'],
      ['2025-02-01T00:00:00Z', 'events_2025_02'],
      ['2025-06-30T23:59:59Z', 'events_2025_06'],
      ['2025-07-01T00:00:00Z', 'events_other'],
      ['1999-12-31T00:00:00Z', 'events_other'],
    ]) {
      expect(await partitionOf(await at(time)), time).toBe(partition)
    }
  })

  test('moves a row whose time changes', async () => {
    const event = await at('2025-01-15T00:00:00Z')
    await ctx.db('events').where({ id: event.id }).update({ occurred_at: '2025-05-15T00:00:00Z' })

    expect(await partitionOf(event)).toBe('events_2025_05')
  })

  test('has one sequence for all partitions', async () => {
    const ids = []
    for (const month of ['01', '03', '02', '12']) ids.push((await at(`2025-${month}-10T00:00:00Z`)).id)
    expect(ids).toEqual([2, 3, 4, 5])
  })

  test('checks the rules in every partition', async () => {
    for (const occurred_at of ['2025-01-01', '2030-01-01']) {
      await expect(acme.scope.insert('events', { type: 'Bad Type', occurred_at })).rejects.toMatchObject({
        code: '23514',
      })
    }
  })
})

describe('GET /events/history', () => {
  test('has the newest first, from all partitions', async () => {
    await at('2025-03-01T00:00:00Z')
    await at('2025-01-01T00:00:00Z')
    const { body } = await acme.api.get('/events/history')

    expect(body.data.map(({ id, type }) => `${id} ${type}`)).toEqual([
      '3 test.event',
      '2 test.event',
      '1 tenant.created',
    ])
  })

  test('filters by type and pages backwards', async () => {
    for (const name of ['a', 'b', 'c']) await createScenario(acme.api, { name })
    const first = await acme.api.get('/events/history?type=scenario.created&limit=2')
    const second = await acme.api.get(`/events/history?type=scenario.created&limit=2&cursor=${first.body.next_cursor}`)

    expect(first.body.data.map(({ payload }) => payload.name)).toEqual(['c', 'b'])
    expect(second.body).toMatchObject({ data: [{ payload: { name: 'a' } }], next_cursor: null })
  })
})
