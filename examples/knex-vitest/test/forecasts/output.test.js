import { describe, expect, test } from 'vitest'
import { useApp } from '../helpers/app.js'
import { createAssumption, createScenario, signUp } from '../helpers/factories.js'

const ctx = useApp()

async function tenantWithForecast(currency = 'EUR') {
  const tenant = await signUp(ctx, { currency })
  await createScenario(tenant.api, { months: 2 })
  await createAssumption(tenant.api, 1, { name: 'Licences', amount_cents: 1_001 })
  await createAssumption(tenant.api, 1, { name: 'Rent, "all in"', kind: 'cost', amount_cents: 50, last_month: 0 })
  await tenant.api.post('/scenarios/1/forecast')
  return tenant
}

describe('GET /scenarios/:id/totals?currency', () => {
  test('is in the tenant’s currency unless asked', async () => {
    const { api } = await tenantWithForecast('GBP')
    const { body } = await api.get('/scenarios/1/totals')

    expect(body.currency).toBe('GBP')
    expect(body.data.map((row) => row.net_cents)).toEqual([951, 1_001])
  })

  test.each([
    ['USD', 1_101],
    ['GBP', 851],
    ['EUR', 1_001],
  ])('converts EUR to %s', async (currency, revenue_cents) => {
    const { api } = await tenantWithForecast()
    const { body } = await api.get(`/scenarios/1/totals?currency=${currency}`)

    expect(body.data[0]).toMatchObject({ month: '2025-01-01', revenue_cents })
  })

  test('uses the rate that is in the table now', async () => {
    const { api } = await tenantWithForecast()
    await ctx.db('exchange_rates').where({ base: 'EUR', quote: 'USD' }).update({ rate: 2 })

    expect((await api.get('/scenarios/1/totals?currency=USD')).body.data[0].revenue_cents).toBe(2_002)
  })

  test('refuses a pair without a rate, and works once it is there', async () => {
    const { api } = await tenantWithForecast('JPY')
    const before = await api.get('/scenarios/1/totals?currency=CHF')
    expect([before.status, before.body.error.code]).toEqual([422, 'no_exchange_rate'])

    await ctx.db('exchange_rates').insert({ base: 'JPY', quote: 'CHF', rate: 0.006 })
    expect((await api.get('/scenarios/1/totals?currency=CHF')).body.data[0].revenue_cents).toBe(6)
  })
})

describe('GET /scenarios/:id/forecast.csv', () => {
  test('has a line per month and assumption, in their order', async () => {
    const { api } = await tenantWithForecast()
    await api.put('/scenarios/1/assumptions/order', { ids: [2, 1] })
    const { body, headers } = await api.get('/scenarios/1/forecast.csv')

    expect(headers['content-type']).toContain('text/csv')
    expect(body.split('\n')).toEqual([
      'month,kind,name,amount',
      '2025-01-01,cost,"Rent, ""all in""",0.50',
      '2025-01-01,revenue,Licences,10.01',
      '2025-02-01,revenue,Licences,10.01',
      '',
    ])
  })

  test('is only a header before the forecast was computed', async () => {
    const { api } = await signUp(ctx)
    await createScenario(api)

    expect((await api.get('/scenarios/1/forecast.csv')).body).toBe('month,kind,name,amount\n')
  })
})
