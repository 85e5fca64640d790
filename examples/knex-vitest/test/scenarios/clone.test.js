import { beforeEach, describe, expect, test } from 'vitest'
import { useApp } from '../helpers/app.js'
import { createAssumption, createConstraint, createScenario, signUp } from '../helpers/factories.js'

const ctx = useApp()
let acme

beforeEach(async () => {
  acme = await signUp(ctx)
  await createScenario(acme.api, { description: 'as planned' })
  await createAssumption(acme.api, 1, { name: 'Subscriptions' })
  await createAssumption(acme.api, 1, { name: 'Salaries', kind: 'cost', growth_rate: 0.015 })
  await createConstraint(acme.api, 1)
})

const clone = (name = 'Copy') => acme.api.post('/scenarios/1/clone', { name })

describe('POST /scenarios/:id/clone', () => {
  test('makes a new draft that knows its origin', async () => {
    await acme.api.patch('/scenarios/1', { version: 1, status: 'active' })
    const { status, body } = await clone()

    expect(status).toBe(201)
    expect(body).toMatchObject({ id: 2, name: 'Copy', description: 'as planned', status: 'draft', cloned_from: 1 })
    expect(body.version).toBe(1)
  })

  test('copies assumptions and constraints', async () => {
    await clone()
    const withoutIds = (rows) =>
      rows.map(({ id, scenario_id, created_at, updated_at, ...row }) => ({ ...row, copied: scenario_id === 2 }))
    const of = async (path) => withoutIds((await acme.api.get(`/scenarios/${path}`)).body.data)

    for (const what of ['assumptions', 'constraints']) {
      const original = await of(`1/${what}`)
      expect(await of(`2/${what}`)).toEqual(original.map((row) => ({ ...row, copied: true })))
      expect(original).not.toHaveLength(0)
    }
  })

  test('does not copy the forecast', async () => {
    await acme.api.post('/scenarios/1/forecast')
    await clone()

    expect((await acme.api.get('/scenarios/2/forecast')).body.data).toEqual([])
    expect((await acme.api.get('/scenarios/1/forecast')).body.data).toHaveLength(6)
  })

  test('is independent of its origin afterwards', async () => {
    await clone()
    await acme.api.patch('/scenarios/2/assumptions/3', { amount_cents: 1 })
    await acme.api.delete('/scenarios/1')

    expect((await acme.api.get('/scenarios/2')).body.cloned_from).toBeNull()
    expect((await acme.api.get('/scenarios/2/assumptions')).body.data).toHaveLength(2)
  })

  test('leaves nothing behind when the name is taken', async () => {
    const { status } = await clone('base case')

    expect(status).toBe(409)
    expect(await ctx.db('scenarios')).toHaveLength(1)
    expect(await ctx.db('assumptions')).toHaveLength(2)
    expect(await ctx.db('scenario_constraints')).toHaveLength(1)
  })

  test('works on an archived scenario', async () => {
    await acme.api.post('/scenarios/1/archive')
    expect((await clone('Base case')).body).toMatchObject({ status: 'draft', archived_at: null })
  })

  test('works for a scenario without anything in it', async () => {
    const { id } = await createScenario(acme.api, { name: 'Empty' })
    expect((await acme.api.post(`/scenarios/${id}/clone`, { name: 'Empty too' })).status).toBe(201)
  })
})
