import { beforeEach, describe, expect, test } from 'vitest'
import { useApp } from '../helpers/app.js'
import { createAssumption, createScenario, signUp } from '../helpers/factories.js'

const ctx = useApp()
let acme

beforeEach(async () => {
  acme = await signUp(ctx)
  await createScenario(acme.api, { months: 4 })
})

async function computed() {
  const { status, body } = await acme.api.post('/scenarios/1/forecast')
  expect(status).toBe(200)
  const rows = await ctx.db('forecasts').orderBy('month').select('month', 'amount_cents')
  expect(body).toEqual({ scenario_id: 1, rows: rows.length })
  return rows.map(({ month, amount_cents }) => [month, amount_cents])
}

describe('POST /scenarios/:id/forecast', () => {
  test('has a row for each month', async () => {
    await createAssumption(acme.api, 1, { amount_cents: 500 })

    expect(await computed()).toEqual([
      ['2025-01-01', 500],
      ['2025-02-01', 500],
      ['2025-03-01', 500],
      ['2025-04-01', 500],
    ])
  })

  test('grows month by month and rounds to cents', async () => {
    await createAssumption(acme.api, 1, { amount_cents: 999, growth_rate: 0.1 })
    expect((await computed()).map(([, amount]) => amount)).toEqual([999, 1099, 1209, 1330])
  })

  test('starts and ends when the assumption does', async () => {
    await createAssumption(acme.api, 1, { amount_cents: 10, growth_rate: 1, first_month: 1, last_month: 2 })

    expect(await computed()).toEqual([
      ['2025-02-01', 10],
      ['2025-03-01', 20],
    ])
  })

  test('does not go beyond the scenario', async () => {
    await createAssumption(acme.api, 1, { first_month: 3, last_month: 30 })
    await createAssumption(acme.api, 1, { first_month: 4 })

    expect((await computed()).map(([month]) => month)).toEqual(['2025-04-01'])
  })

  test('crosses the turn of the year', async () => {
    await acme.api.patch('/scenarios/1', { version: 1, starts_on: '2025-11-01' })
    await createAssumption(acme.api, 1)

    expect((await computed()).map(([month]) => month)).toEqual(['2025-11-01', '2025-12-01', '2026-01-01', '2026-02-01'])
  })

  test('refuses an amount that outgrows its column, and keeps the old rows', async () => {
    await createAssumption(acme.api, 1, { amount_cents: 1 })
    await computed()
    await createAssumption(acme.api, 1, { amount_cents: Number.MAX_SAFE_INTEGER, growth_rate: 10 })
    const { status, body } = await acme.api.post('/scenarios/1/forecast')

    expect(status).toBe(422)
    expect(body.error.code).toBe('number_out_of_range')
    expect(await ctx.db('forecasts')).toHaveLength(4)
  })
})

describe('computing it again', () => {
  beforeEach(async () => {
    await createAssumption(acme.api, 1, { amount_cents: 5 })
    await computed()
  })

  test('replaces the rows; the sequence goes on', async () => {
    await acme.api.patch('/scenarios/1/assumptions/1', { amount_cents: 7, last_month: 1 })
    await computed()
    const { body } = await acme.api.get('/scenarios/1/forecast')

    expect(body.data.map(({ id, amount_cents }) => [id, amount_cents])).toEqual([
      [5, 7],
      [6, 7],
    ])
  })

  test('by several at once leaves one set of rows', async () => {
    const responses = await Promise.all([1, 2, 3, 4].map(() => acme.api.post('/scenarios/1/forecast')))

    expect(responses.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    expect(await ctx.db('forecasts')).toHaveLength(4)
  })
})

test('an assumption has one row per month, the database sees to it', async () => {
  await createAssumption(acme.api, 1)
  await computed()
  const row = { scenario_id: 1, assumption_id: 1, month: '2025-01-01', amount_cents: 1 }
  await expect(acme.scope.insert('forecasts', row)).rejects.toMatchObject({ constraint: 'forecasts_one_per_month' })
})
