import { beforeEach, describe, expect, test } from 'vitest'
import { useApp } from '../helpers/app.js'
import { createAssumption, createConstraint, createScenario, signUp } from '../helpers/factories.js'

const ctx = useApp()
let acme

// revenue 1000, 1000, 1000 · cost 600, 900, 1350 · net 400, 100, -350
beforeEach(async () => {
  acme = await signUp(ctx)
  await createScenario(acme.api)
  await createAssumption(acme.api, 1, { amount_cents: 1_000 })
  await createAssumption(acme.api, 1, { kind: 'cost', name: 'Cloud', amount_cents: 600, growth_rate: 0.5 })
  await acme.api.post('/scenarios/1/forecast')
})

const violations = async () => (await acme.api.get('/scenarios/1/violations')).body.data
const months = async () => (await violations()).map(({ month }) => month)

describe('GET /scenarios/:id/violations', () => {
  test('is empty without constraints', async () => {
    expect(await violations()).toEqual([])
  })

  test('says where, what and how much', async () => {
    await createConstraint(acme.api, 1, { limit_cents: 1_000 })

    expect(await violations()).toEqual([
      { constraint_id: 1, month: '2025-03-01', metric: 'cost', bound: 'max', limit_cents: 1_000, value_cents: 1_350 },
    ])
  })

  test('keeping the limit exactly is fine', async () => {
    await createConstraint(acme.api, 1, { limit_cents: 1_350 })
    await createConstraint(acme.api, 1, { metric: 'net', bound: 'min', limit_cents: -350 })

    expect(await violations()).toEqual([])
  })

  test('knows lower limits', async () => {
    await createConstraint(acme.api, 1, { metric: 'net', bound: 'min', limit_cents: 400 })
    expect(await months()).toEqual(['2025-02-01', '2025-03-01'])
  })

  test('counts only the months of the constraint', async () => {
    await createConstraint(acme.api, 1, { limit_cents: 0, starts_on: '2025-02-01', ends_on: '2025-03-01' })
    expect(await months()).toEqual(['2025-02-01'])
  })

  test('comes from the computed totals, so a new forecast changes it', async () => {
    await createConstraint(acme.api, 1, { limit_cents: 1_000 })
    await acme.api.patch('/scenarios/1/assumptions/2', { growth_rate: 0 })
    expect(await months()).toEqual(['2025-03-01'])

    await acme.api.post('/scenarios/1/forecast')
    expect(await months()).toEqual([])
  })

  test('lists several constraints by month', async () => {
    await createConstraint(acme.api, 1, { metric: 'revenue', bound: 'min', limit_cents: 2_000 })
    await createConstraint(acme.api, 1, { metric: 'net', bound: 'min', limit_cents: 0 })
    const found = (await violations()).map(({ month, constraint_id }) => `${month} ${constraint_id}`)

    expect(found).toEqual(['2025-01-01 1', '2025-02-01 1', '2025-03-01 1', '2025-03-01 2'])
  })
})
