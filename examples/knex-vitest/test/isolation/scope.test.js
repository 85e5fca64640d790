import { beforeEach, describe, expect, test } from 'vitest'
import { TenantScope } from '../../src/repositories/scope.js'
import { useDb } from '../helpers/app.js'
import { insertTenant } from '../helpers/factories.js'

const ctx = useDb()
let acme
let globex

beforeEach(async () => {
  acme = (await insertTenant(ctx.db, 'acme')).scope
  globex = (await insertTenant(ctx.db, 'globex')).scope
  for (const scope of [acme, globex]) {
    await scope.insert('scenarios', { name: `of ${scope.tenantId}`, starts_on: '2025-01-01' })
  }
})

describe('TenantScope', () => {
  test('reads the rows of its tenant', async () => {
    expect(await acme.from('scenarios').pluck('name')).toEqual(['of 1'])
    expect(await globex.from('scenarios').pluck('name')).toEqual(['of 2'])
  })

  test('can not be widened by "or"', async () => {
    const rows = await acme.from('scenarios').where({ id: 1 }).orWhereRaw('true').orWhere({ tenant_id: 2 })
    expect(rows.map(({ tenant_id }) => tenant_id)).toEqual([1])
  })

  test('can not be widened by a join', async () => {
    const rows = await acme
      .from('users')
      .join(acme.rows('scenarios'), (join) => join.on(ctx.db.raw('true')))
      .select('users.tenant_id as user_of', 'scenarios.tenant_id as scenario_of')
    expect(rows).toEqual([{ user_of: 1, scenario_of: 1 }])
  })

  test('inserts into its tenant, whatever the row says', async () => {
    const row = await acme.insertOne('scenarios', { tenant_id: 2, name: 'smuggled', starts_on: '2025-01-01' })
    expect(row.tenant_id).toBe(1)
  })

  test('updates and deletes nothing of others', async () => {
    expect(await acme.update('scenarios', { id: 2 }, { name: 'taken' })).toEqual([])
    expect(await acme.update('scenarios', { id: 2, tenant_id: 2 }, { name: 'taken' })).toEqual([])
    expect(await acme.delete('scenarios', { id: 2, tenant_id: 2 })).toBe(0)
    expect(await ctx.db('scenarios').where({ id: 2 }).pluck('name')).toEqual(['of 2'])
  })

  test('refuses to move a row to another tenant', async () => {
    await expect(acme.update('scenarios', { id: 1 }, { tenant_id: 2 })).rejects.toThrow('another tenant')
  })

  test('does not exist without a tenant', () => {
    expect(() => new TenantScope(ctx.db, {})).toThrow('needs a tenant')
    expect(() => new TenantScope(ctx.db, { tenantId: '1 or true' })).toThrow('needs a tenant')
  })

  test('keeps tenant and user inside a transaction, and joins the one that is open', async () => {
    await acme.write(async (outer) => {
      await outer.write(async (inner) => {
        expect(inner).toBe(outer)
        expect(inner).toMatchObject({ tenantId: acme.tenantId, userId: acme.userId })
        await inner.insert('scenarios', { name: 'inside', starts_on: '2025-01-01' })
      })
      expect(await outer.from('scenarios').pluck('name')).toEqual(['of 1', 'inside'])
    })
  })
})
