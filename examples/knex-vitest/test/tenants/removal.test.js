import { beforeEach, describe, expect, test } from 'vitest'
import { useApp } from '../helpers/app.js'
import { addUser, createAssumption, createConstraint, createScenario, signUp } from '../helpers/factories.js'

const ctx = useApp()
let acme
let globex

beforeEach(async () => {
  acme = await signUp(ctx, { slug: 'acme' })
  globex = await signUp(ctx, { slug: 'globex' })

  for (const { api } of [acme, globex]) {
    const scenario = await createScenario(api)
    await createAssumption(api, scenario.id)
    await createConstraint(api, scenario.id)
    await api.post(`/scenarios/${scenario.id}/forecast`)
    await api.post('/jobs', { kind: 'report' })
    await api.put('/tenant/settings/theme', { value: 'dark' })
  }
})

const TABLES = [
  'users',
  'api_tokens',
  'scenarios',
  'assumptions',
  'forecasts',
  'scenario_constraints',
  'jobs',
  'events',
  'tenant_settings',
]

describe('DELETE /tenant', () => {
  test('takes every row of the tenant with it', async () => {
    expect((await acme.api.delete('/tenant')).status).toBe(204)

    for (const table of TABLES) {
      expect(await ctx.db(table).where({ tenant_id: acme.tenant.id }), table).toEqual([])
    }
    expect(await ctx.db('tenants').pluck('slug')).toEqual(['globex'])
  })

  test('leaves the rows of others alone', async () => {
    const count = async () => {
      const counts = TABLES.map((table) => ctx.db(table).where({ tenant_id: globex.tenant.id }).count().first())
      return (await Promise.all(counts)).map((row) => row.count)
    }
    const before = await count()
    await acme.api.delete('/tenant')

    expect(await count()).toEqual(before)
    expect(before.every((rows) => rows > 0)).toBe(true)
  })

  test('leaves the audit log, with the deletion in it', async () => {
    await acme.api.delete('/tenant')

    const deletions = await ctx.db('audit_log').where({ tenant_id: acme.tenant.id, action: 'delete' })
    expect(deletions.map((row) => row.table_name)).toEqual(
      expect.arrayContaining(['tenants', 'users', 'scenarios', 'assumptions', 'scenario_constraints']),
    )
  })

  test('ends the tokens', async () => {
    await acme.api.delete('/tenant')

    expect((await acme.api.get('/tenant')).status).toBe(401)
    expect((await globex.api.get('/tenant')).status).toBe(200)
  })

  test('is for owners', async () => {
    const editor = await addUser(ctx, acme, 'editor')

    expect((await editor.api.delete('/tenant')).status).toBe(403)
    expect(await ctx.db('tenants')).toHaveLength(2)
  })
})
