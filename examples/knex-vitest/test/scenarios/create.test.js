import { beforeEach, describe, expect, test } from 'vitest'
import { useApp } from '../helpers/app.js'
import { signUp } from '../helpers/factories.js'

const ctx = useApp()
let acme

beforeEach(async () => {
  acme = await signUp(ctx)
})

const create = (changes) => acme.api.post('/scenarios', { name: 'Base case', starts_on: '2025-01-01', ...changes })

describe('POST /scenarios', () => {
  test('makes a draft of twelve months', async () => {
    const { status, body } = await create()

    expect(status).toBe(201)
    expect(body).toMatchObject({
      id: 1,
      status: 'draft',
      months: 12,
      version: 1,
      starts_on: '2025-01-01',
      ends_on: '2026-01-01',
      created_by: acme.user.id,
      archived_at: null,
    })
  })

  test('has an end, a generated column', async () => {
    for (const [months, endsOn] of [
      [1, '2025-02-01'],
      [6, '2025-07-01'],
      [60, '2030-01-01'],
    ]) {
      expect((await create({ name: `${months} months`, months })).body.ends_on).toBe(endsOn)
    }
  })

  test.each([
    ['a start in the middle of a month', { starts_on: '2025-01-15' }, 'scenarios_start_on_first_of_month'],
    ['no months', { months: 0 }, 'scenarios_months_range'],
    ['more than five years', { months: 61 }, 'scenarios_months_range'],
  ])('refuses %s', async (_, changes, constraint) => {
    const { status, body } = await create(changes)

    expect(status).toBe(422)
    expect(body.error.details.constraint).toBe(constraint)
    expect(await ctx.db('scenarios')).toEqual([])
  })

  test('is a bad request without a proper name and start', async () => {
    for (const changes of [{ name: undefined }, { name: '' }, { starts_on: 'soon' }]) {
      expect((await create(changes)).status).toBe(400)
    }
  })

  test('has names that are unique in the tenant, whatever their case', async () => {
    await create()
    const again = await create({ name: 'BASE CASE' })

    expect(again.status).toBe(409)
    expect(again.body.error.details.constraint).toBe('scenarios_name_unique_per_tenant')
  })

  test('emits an event', async () => {
    await create()
    const event = await ctx.db('events').where({ type: 'scenario.created' }).first()

    expect(event).toMatchObject({ tenant_id: acme.tenant.id, payload: { id: 1, name: 'Base case' } })
  })
})
