import { beforeEach, describe, expect, test } from 'vitest'
import { useDb } from '../helpers/app.js'
import { insertTenant } from '../helpers/factories.js'

const ctx = useDb()
let acme
let globex

// Even code that goes around the scope can not connect rows of two tenants: the foreign keys carry the tenant.
beforeEach(async () => {
  acme = await insertTenant(ctx.db, 'acme')
  globex = await insertTenant(ctx.db, 'globex')
  for (const { scope } of [acme, globex]) {
    const scenario = await scope.insertOne('scenarios', { name: 'Base', starts_on: '2025-01-01' })
    await scope.insertOne('assumptions', {
      scenario_id: scenario.id,
      kind: 'cost',
      name: 'Rent',
      amount_cents: 1,
      position: 1,
    })
  }
})

const foreignKeyViolation = (table) => ({ code: '23503', table })

describe('composite foreign keys', () => {
  test('an assumption can not be in a scenario of another tenant', async () => {
    const row = { tenant_id: 1, scenario_id: 2, kind: 'cost', name: 'Rent', amount_cents: 1, position: 9 }
    await expect(ctx.db('assumptions').insert(row)).rejects.toMatchObject(foreignKeyViolation('assumptions'))
  })

  test('a forecast row can not use an assumption of another tenant', async () => {
    const row = { tenant_id: 1, scenario_id: 1, assumption_id: 2, month: '2025-01-01', amount_cents: 1 }
    await expect(ctx.db('forecasts').insert(row)).rejects.toMatchObject(foreignKeyViolation('forecasts'))
  })

  test('a constraint can not be on a scenario of another tenant', async () => {
    const row = { tenant_id: 1, scenario_id: 2, metric: 'net', bound: 'min', limit_cents: 0, during: '[2025-01-01,)' }
    await expect(ctx.db('scenario_constraints').insert(row)).rejects.toMatchObject(
      foreignKeyViolation('scenario_constraints'),
    )
  })

  test('a scenario can not be created by a user of another tenant', async () => {
    const row = { tenant_id: 1, created_by: globex.user.id, name: 'Odd', starts_on: '2025-01-01' }
    await expect(ctx.db('scenarios').insert(row)).rejects.toMatchObject(foreignKeyViolation('scenarios'))
  })

  test('a scenario with assumptions can not change its tenant', async () => {
    await expect(ctx.db('scenarios').where({ id: 1 }).update({ tenant_id: 2, name: 'Moved' })).rejects.toMatchObject(
      foreignKeyViolation('assumptions'),
    )
  })

  test('a token can not be for a user of another tenant', async () => {
    const row = { tenant_id: 1, user_id: globex.user.id, label: 'x', token_hash: Buffer.alloc(32) }
    await expect(ctx.db('api_tokens').insert(row)).rejects.toMatchObject(foreignKeyViolation('api_tokens'))
  })

  test('rows of a tenant that does not exist are refused', async () => {
    for (const [table, row] of [
      ['users', { email: 'a@b', name: 'x' }],
      ['jobs', { kind: 'x' }],
      ['events', { type: 'a.b' }],
    ]) {
      await expect(ctx.db(table).insert({ ...row, tenant_id: 99 }), table).rejects.toMatchObject({ code: '23503' })
    }
  })
})
