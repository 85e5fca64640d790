import { beforeEach, describe, expect, test } from 'vitest'
import { useApp } from '../helpers/app.js'

const ctx = useApp()

// Each test changes reference data in another way; the next one finds it as it was seeded.
beforeEach(async () => {
  expect(await ctx.db('plans').orderBy('price_cents').pluck('code')).toEqual(['free', 'team', 'enterprise'])
  expect(await ctx.db('currencies').orderBy('code').pluck('code')).toEqual(['CHF', 'EUR', 'GBP', 'JPY', 'USD'])
  expect(await ctx.db('exchange_rates').sum('rate as sum').first()).toEqual({ sum: '3.809091' })
  expect(await ctx.db('regions').orderBy('id').pluck('id')).toEqual([1, 2, 3, 4, 5, 6, 7])
})

describe('seeded reference data', () => {
  test('can be deleted', async () => {
    await ctx.db('exchange_rates').delete()
    await ctx.db('currencies').delete()
    await ctx.db('plans').delete()

    expect((await ctx.anonymous.get('/plans')).body).toEqual([])
    expect((await ctx.anonymous.get('/currencies')).body).toEqual([])
  })

  test('can be changed, keys included', async () => {
    await ctx.db('plans').where({ code: 'free' }).update({ code: 'gratis', price_cents: 1 })
    await ctx.db('exchange_rates').update({ rate: 7 })

    expect((await ctx.anonymous.get('/plans')).body[0]).toMatchObject({ code: 'gratis', price_cents: 1 })
  })

  test('can be added to', async () => {
    await ctx.db('currencies').insert({ code: 'SEK', name: 'Swedish krona' })
    expect((await ctx.anonymous.get('/currencies')).body).toHaveLength(6)
  })

  test('can be truncated', async () => {
    await ctx.db.raw('truncate plans, exchange_rates, currencies, regions restart identity cascade')
    expect((await ctx.anonymous.get('/regions')).body).toEqual([])
  })

  test('that refers to itself comes back as well', async () => {
    const { body } = await ctx.anonymous.get('/regions')
    expect(body.find(({ code }) => code === 'de')).toEqual({ code: 'de', name: 'Germany', parent: 'emea' })

    await ctx.db('regions').update({ parent_id: null })
    await ctx.db('regions').whereNot({ code: 'de' }).delete()
    expect((await ctx.anonymous.get('/regions')).body).toEqual([{ code: 'de', name: 'Germany', parent: null }])
  })

  test.each(['once', 'and again'])('leaves its sequence behind the seeded rows (%s)', async () => {
    const [{ id }] = await ctx.db('regions').insert({ code: 'mars', name: 'Mars' }).returning('id')
    expect(id).toBe(8)
  })

  test('is protected by foreign keys while it is in use', async () => {
    await ctx.anonymous.post('/tenants', {
      name: 'Acme',
      slug: 'acme',
      region: 'de',
      owner: { name: 'Olivia', email: 'olivia@acme.example' },
    })
    await expect(ctx.db('plans').where({ code: 'free' }).delete()).rejects.toMatchObject({ code: '23503' })

    await ctx.db('regions').where({ code: 'de' }).update({ code: 'germany' })
    expect(await ctx.db('tenants').pluck('region')).toEqual(['germany'])
  })
})
