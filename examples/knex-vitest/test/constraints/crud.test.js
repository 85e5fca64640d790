import { beforeEach, describe, expect, test } from 'vitest'
import { useApp } from '../helpers/app.js'
import { createConstraint, createScenario, signUp } from '../helpers/factories.js'

const ctx = useApp()
let acme

beforeEach(async () => {
  acme = await signUp(ctx)
  await createScenario(acme.api)
})

describe('constraints of a scenario', () => {
  test('have a first day and the day after the last', async () => {
    expect(await createConstraint(acme.api, 1)).toEqual({
      id: 1,
      scenario_id: 1,
      metric: 'cost',
      bound: 'max',
      limit_cents: 50_000,
      starts_on: '2025-01-01',
      ends_on: '2025-07-01',
    })
  })

  test('may have no end', async () => {
    expect(await createConstraint(acme.api, 1, { ends_on: undefined })).toMatchObject({ ends_on: null })
  })

  test('may have a negative limit: a loss that is still fine', async () => {
    const constraint = await createConstraint(acme.api, 1, { metric: 'net', bound: 'min', limit_cents: -500 })
    expect(constraint.limit_cents).toBe(-500)
  })

  test.each([
    ['an unknown metric', { metric: 'mood' }, 'scenario_constraints_metric'],
    ['an unknown bound', { bound: 'about' }, 'scenario_constraints_bound'],
    ['an empty period', { ends_on: '2025-01-01' }, 'scenario_constraints_during_not_empty'],
  ])('refuse %s', async (_, changes, constraint) => {
    const body = { metric: 'cost', bound: 'max', limit_cents: 1, starts_on: '2025-01-01', ...changes }
    const response = await acme.api.post('/scenarios/1/constraints', body)

    expect(response.status).toBe(422)
    expect(response.body.error.details.constraint).toBe(constraint)
  })

  test('can be listed and removed', async () => {
    await createConstraint(acme.api, 1)
    await createConstraint(acme.api, 1, { metric: 'net' })
    await acme.api.delete('/scenarios/1/constraints/1')
    const { body } = await acme.api.get('/scenarios/1/constraints')

    expect(body.data.map(({ id, metric }) => [id, metric])).toEqual([[2, 'net']])
    expect((await acme.api.delete('/scenarios/1/constraints/1')).status).toBe(404)
  })

  test('are not changed on an archived scenario', async () => {
    await createConstraint(acme.api, 1)
    await acme.api.post('/scenarios/1/archive')

    expect((await acme.api.delete('/scenarios/1/constraints/1')).status).toBe(409)
    expect(await ctx.db('scenario_constraints')).toHaveLength(1)
  })
})
