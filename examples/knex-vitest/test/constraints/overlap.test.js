import { beforeEach, describe, expect, test } from 'vitest'
import { useApp } from '../helpers/app.js'
import { createConstraint, createScenario, signUp } from '../helpers/factories.js'

const ctx = useApp()
let acme

beforeEach(async () => {
  acme = await signUp(ctx)
  await createScenario(acme.api)
  await createConstraint(acme.api, 1, { starts_on: '2025-01-01', ends_on: '2025-07-01' })
})

const add = (changes, scenario = 1) =>
  acme.api.post(`/scenarios/${scenario}/constraints`, {
    metric: 'cost',
    bound: 'max',
    limit_cents: 1,
    starts_on: '2025-01-01',
    ends_on: '2025-07-01',
    ...changes,
  })

describe('the exclusion constraint', () => {
  test('refuses a period that has a day in common', async () => {
    for (const [starts_on, ends_on] of [
      ['2025-01-01', '2025-07-01'],
      ['2025-06-30', '2025-08-01'],
      ['2024-01-01', '2027-01-01'],
      ['2025-03-01', '2025-04-01'],
      ['2025-06-01', undefined],
    ]) {
      const { status, body } = await add({ starts_on, ends_on })

      expect(status).toBe(409)
      expect(body.error).toMatchObject({
        code: 'overlaps',
        details: { constraint: 'scenario_constraints_no_overlap' },
      })
    }
  })

  test.each([
    ['right behind', { starts_on: '2025-07-01', ends_on: undefined }],
    ['right before', { starts_on: '2024-01-01', ends_on: '2025-01-01' }],
    ['for another metric', { metric: 'revenue' }],
    ['for the other bound', { bound: 'min' }],
  ])('allows a period %s', async (_, changes) => {
    expect((await add(changes)).status).toBe(201)
  })

  test('is about one scenario', async () => {
    await createScenario(acme.api, { name: 'Other' })
    expect((await add({}, 2)).status).toBe(201)
  })

  test('lets one of two who come at once through', async () => {
    const period = { starts_on: '2026-01-01', ends_on: '2026-02-01' }
    const responses = await Promise.all([add(period), add(period)])

    expect(responses.map(({ status }) => status).sort()).toEqual([201, 409])
  })

  test('frees the period with the row', async () => {
    await acme.api.delete('/scenarios/1/constraints/1')
    expect((await add({})).status).toBe(201)
  })
})
