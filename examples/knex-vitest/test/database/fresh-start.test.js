import { beforeEach, describe, expect, test } from 'vitest'
import { useApp } from '../helpers/app.js'
import { createAssumption, createScenario, insertTenant, signUp } from '../helpers/factories.js'

const ctx = useApp()

// The same expectations in several tests, each of which leaves a mess: every test starts from the migrated state.
const TABLES = [
  'tenants',
  'users',
  'api_tokens',
  'scenarios',
  'assumptions',
  'forecasts',
  'forecast_totals',
  'scenario_constraints',
  'jobs',
  'events',
  'audit_log',
  'tenant_settings',
]

beforeEach(async () => {
  for (const table of TABLES) expect(await ctx.db(table), table).toEqual([])
})

describe.each(['first', 'second', 'third'])('in the %s round', () => {
  test('the first tenant, user, scenario, assumption and event have the id 1', async () => {
    const { tenant, user, api } = await signUp(ctx)
    const scenario = await createScenario(api)
    const assumption = await createAssumption(api, scenario.id)
    const event = await ctx.db('events').orderBy('id').first()

    expect([tenant, user, scenario, assumption, event].map(({ id }) => id)).toEqual([1, 1, 1, 1, 1])
  })

  test('rows go into every table, the materialized view included', async () => {
    const { api } = await signUp(ctx)
    await createScenario(api)
    await createAssumption(api, 1)
    await api.post('/scenarios/1/constraints', {
      metric: 'net',
      bound: 'min',
      limit_cents: 0,
      starts_on: '2025-01-01',
    })
    await api.post('/scenarios/1/forecast')
    await api.post('/jobs', { kind: 'report' })
    await api.put('/tenant/settings/theme', { value: 'dark' })

    for (const table of TABLES) expect(await ctx.db(table), table).not.toEqual([])
  })
})

test('a sequence that was used by a rolled back transaction starts again too', async () => {
  const attempt = ctx.db.transaction(async (trx) => {
    await trx.raw("select nextval(pg_get_serial_sequence('tenants', 'id')) from generate_series(1, 50)")
    throw new Error('rolled back')
  })
  await expect(attempt).rejects.toThrow('rolled back')

  expect((await insertTenant(ctx.db)).tenant.id).toBe(51) // sequences don't roll back …
})

test('… but the next test does not see it', async () => {
  await ctx.db.raw("select setval(pg_get_serial_sequence('users', 'id'), 1000)")
  const { tenant, user } = await insertTenant(ctx.db)

  expect([tenant.id, user.id]).toEqual([1, 1001])
})
