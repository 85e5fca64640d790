import { beforeEach, describe, expect, test } from 'vitest'
import { useApp } from '../helpers/app.js'
import { createAssumption, createScenario, signUp } from '../helpers/factories.js'

const ctx = useApp()
let acme

beforeEach(async () => {
  acme = await signUp(ctx)
  await createScenario(acme.api)
})

describe('assumptions', () => {
  test('have defaults', async () => {
    expect(await createAssumption(acme.api, 1)).toMatchObject({
      id: 1,
      scenario_id: 1,
      growth_rate: '0.0000',
      first_month: 0,
      last_month: null,
      position: 1,
    })
  })

  test('are appended', async () => {
    for (const name of ['a', 'b', 'c']) await createAssumption(acme.api, 1, { name })
    const { body } = await acme.api.get('/scenarios/1/assumptions')

    expect(body.data.map(({ name, position }) => [name, position])).toEqual([
      ['a', 1],
      ['b', 2],
      ['c', 3],
    ])
  })

  test('get different positions when they come at once', async () => {
    await Promise.all(['a', 'b', 'c', 'd'].map((name) => createAssumption(acme.api, 1, { name })))
    const positions = await ctx.db('assumptions').orderBy('position').pluck('position')

    expect(positions).toEqual([1, 2, 3, 4])
  })

  test('can be changed', async () => {
    await createAssumption(acme.api, 1)
    const { body } = await acme.api.patch('/scenarios/1/assumptions/1', { amount_cents: 5, last_month: 2 })

    expect(body).toMatchObject({ id: 1, name: 'Subscriptions', amount_cents: 5, last_month: 2 })
    expect(new Date(body.updated_at) > new Date(body.created_at)).toBe(true)
  })

  test('can be removed once', async () => {
    await createAssumption(acme.api, 1)

    expect((await acme.api.delete('/scenarios/1/assumptions/1')).status).toBe(204)
    expect((await acme.api.delete('/scenarios/1/assumptions/1')).status).toBe(404)
  })

  test('belong to their scenario: another one in the path is a 404', async () => {
    await createScenario(acme.api, { name: 'Other' })
    await createAssumption(acme.api, 1)

    expect((await acme.api.patch('/scenarios/2/assumptions/1', { name: 'x' })).status).toBe(404)
    expect((await acme.api.delete('/scenarios/2/assumptions/1')).status).toBe(404)
  })

  test('go with their scenario', async () => {
    await createAssumption(acme.api, 1)
    await acme.api.delete('/scenarios/1')

    expect(await ctx.db('assumptions')).toEqual([])
  })
})

describe('the rules of an assumption', () => {
  const valid = { kind: 'revenue', name: 'Subscriptions', amount_cents: 100 }

  test('are checked when it is created', async () => {
    for (const [changes, constraint] of [
      [{ amount_cents: -1 }, 'assumptions_amount_not_negative'],
      [{ growth_rate: -1.5 }, 'assumptions_growth_range'],
      [{ growth_rate: 11 }, 'assumptions_growth_range'],
      [{ first_month: -1 }, 'assumptions_first_month_not_negative'],
      [{ first_month: 5, last_month: 4 }, 'assumptions_month_order'],
    ]) {
      const { status, body } = await acme.api.post('/scenarios/1/assumptions', { ...valid, ...changes })

      expect(status).toBe(422)
      expect(body.error.details.constraint).toBe(constraint)
    }
    expect(await ctx.db('assumptions')).toEqual([])
  })

  test('are checked when it is changed', async () => {
    await createAssumption(acme.api, 1)

    expect((await acme.api.patch('/scenarios/1/assumptions/1', { amount_cents: -1 })).status).toBe(422)
    expect((await ctx.db('assumptions').first()).amount_cents).toBe(100_000)
  })

  test('allow the edges', async () => {
    const edges = [{ amount_cents: 0 }, { growth_rate: -1 }, { growth_rate: 10 }, { first_month: 2, last_month: 2 }]
    for (const changes of edges) await createAssumption(acme.api, 1, changes)

    expect(await ctx.db('assumptions')).toHaveLength(edges.length)
  })

  test('keep large amounts exact, and refuse rates that do not fit the column', async () => {
    const { amount_cents } = await createAssumption(acme.api, 1, { amount_cents: Number.MAX_SAFE_INTEGER })
    expect(amount_cents).toBe(9_007_199_254_740_991)

    const { body } = await acme.api.post('/scenarios/1/assumptions', { ...valid, growth_rate: 12_345 })
    expect(body.error.code).toBe('number_out_of_range')
  })
})
