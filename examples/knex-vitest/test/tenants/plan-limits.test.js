import { describe, expect, test } from 'vitest'
import { useApp } from '../helpers/app.js'
import { createScenario, signUp } from '../helpers/factories.js'

const ctx = useApp()
const body = (name) => ({ name, starts_on: '2025-01-01' })

describe('the free plan', () => {
  test('has three scenarios', async () => {
    const { api } = await signUp(ctx, { plan: 'free' })
    for (const name of ['one', 'two', 'three']) await createScenario(api, { name })
    const fourth = await api.post('/scenarios', body('four'))

    expect(fourth.status).toBe(409)
    expect(fourth.body.error.code).toBe('plan_limit')
  })

  test('keeps to three when five requests come at once', async () => {
    const { api } = await signUp(ctx, { plan: 'free' })
    const names = ['one', 'two', 'three', 'four', 'five']
    const responses = await Promise.all(names.map((name) => api.post('/scenarios', body(name))))

    expect(responses.map(({ status }) => status).sort()).toEqual([201, 201, 201, 409, 409])
    expect(await ctx.db('scenarios')).toHaveLength(3)
  })

  test('does not count archived scenarios', async () => {
    const { api } = await signUp(ctx, { plan: 'free' })
    for (const name of ['one', 'two', 'three']) await createScenario(api, { name })
    await api.post('/scenarios/1/archive')

    expect((await api.post('/scenarios', body('four'))).status).toBe(201)
  })

  test('counts a restored scenario again', async () => {
    const { api } = await signUp(ctx, { plan: 'free' })
    const { id } = await createScenario(api, { name: 'old' })
    await api.post(`/scenarios/${id}/archive`)
    for (const name of ['one', 'two', 'three']) await createScenario(api, { name })

    expect((await api.post(`/scenarios/${id}/restore`)).status).toBe(409)
  })

  test('has two users', async () => {
    const { api } = await signUp(ctx, { plan: 'free' })
    const first = await api.post('/users', { name: 'Ben', email: 'ben@acme.example' })
    const second = await api.post('/users', { name: 'Cleo', email: 'cleo@acme.example' })

    expect([first.status, second.status]).toEqual([201, 409])
  })

  test('ends with an upgrade', async () => {
    const { api } = await signUp(ctx, { plan: 'free' })
    for (const name of ['one', 'two', 'three']) await createScenario(api, { name })
    await api.patch('/tenant', { plan: 'team' })

    expect((await api.post('/scenarios', body('four'))).status).toBe(201)
  })
})

test('limits are data: a changed plan counts at once', async () => {
  const { api } = await signUp(ctx, { plan: 'free' })
  await ctx.db('plans').where({ code: 'free' }).update({ max_scenarios: 1 })
  await createScenario(api, { name: 'one' })

  expect((await api.post('/scenarios', body('two'))).status).toBe(409)
})
