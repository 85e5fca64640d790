import { beforeEach, describe, expect, test } from 'vitest'
import { refreshTotals } from '../../src/repositories/forecasts.js'
import { useApp } from '../helpers/app.js'
import { createAssumption, createScenario, signUp } from '../helpers/factories.js'

const ctx = useApp()
let acme

beforeEach(async () => {
  acme = await signUp(ctx)
  await createScenario(acme.api, { months: 2 })
  await createAssumption(acme.api, 1, { name: 'Licences', amount_cents: 1_000 })
  await createAssumption(acme.api, 1, { name: 'Support', amount_cents: 500, first_month: 1 })
  await createAssumption(acme.api, 1, { name: 'Salaries', kind: 'cost', amount_cents: 1_200 })
})

const totals = async (id = 1) => (await acme.api.get(`/scenarios/${id}/totals`)).body.data

describe('the materialized view forecast_totals', () => {
  test('is empty before anything was computed', async () => {
    expect(await totals()).toEqual([])
    expect(await ctx.db('forecast_totals')).toEqual([])
  })

  test('sums up revenue and cost per month', async () => {
    await acme.api.post('/scenarios/1/forecast')

    expect(await totals()).toEqual([
      { month: '2025-01-01', revenue_cents: 1_000, cost_cents: 1_200, net_cents: -200 },
      { month: '2025-02-01', revenue_cents: 1_500, cost_cents: 1_200, net_cents: 300 },
    ])
  })

  test('stays as it is until it is refreshed', async () => {
    await acme.api.post('/scenarios/1/forecast')
    await ctx.db('forecasts').delete()
    expect(await totals()).toHaveLength(2)

    await refreshTotals(ctx.db)
    expect(await totals()).toEqual([])
  })

  test('is refreshed for all scenarios', async () => {
    await acme.api.post('/scenarios/1/clone', { name: 'Copy' })
    await acme.api.post('/scenarios/1/forecast')
    await acme.api.post('/scenarios/2/forecast')

    expect(await totals(2)).toEqual(await totals(1))
  })

  test('can be read while it is being refreshed', async () => {
    await acme.api.post('/scenarios/1/forecast')
    await ctx.db.transaction(async (trx) => {
      await refreshTotals(trx)
      expect(await totals()).toHaveLength(2)
    })
  })

  test('a refresh is rolled back with its transaction', async () => {
    await acme.api.post('/scenarios/1/forecast')
    const attempt = ctx.db.transaction(async (trx) => {
      await trx('forecasts').delete()
      await refreshTotals(trx)
      expect(await trx('forecast_totals')).toEqual([])
      throw new Error('never mind')
    })
    await expect(attempt).rejects.toThrow('never mind')
    expect(await totals()).toHaveLength(2)
  })

  test('can not be written to', async () => {
    await expect(ctx.db('forecast_totals').delete()).rejects.toMatchObject({ code: '42809' })
  })
})
