import { expect } from 'vitest'
import { TenantScope } from '../../src/repositories/scope.js'
import * as tokens from '../../src/repositories/tokens.js'
import * as users from '../../src/repositories/users.js'
import { apiClient } from './api.js'

/** Signs a tenant up through the API; `api` then acts as its owner. */
export async function signUp({ app, db }, overrides = {}) {
  const slug = overrides.slug ?? 'acme'
  const response = await apiClient(app).post('/tenants', {
    name: slug.toUpperCase(),
    slug,
    plan: 'team',
    owner: { name: 'Olivia', email: `olivia@${slug}.example` },
    ...overrides,
  })
  expect(response.status, JSON.stringify(response.body)).toBe(201)

  const { tenant, user, token } = response.body
  const scope = new TenantScope(db, { tenantId: tenant.id, userId: user.id })
  return { tenant, user, token, scope, api: apiClient(app, token) }
}

/** Another user of the tenant, with a client of their own. */
export async function addUser({ app }, { scope }, role, name = role) {
  const user = await users.create(scope, { name, email: `${name}@people.example`, role })
  const { token } = await tokens.create(scope, { user_id: user.id, label: 'test' })
  return { user, token, api: apiClient(app, token) }
}

/** A tenant with an owner, straight into the tables. */
export async function insertTenant(db, slug = 'acme', columns = {}) {
  return db.transaction(async (trx) => {
    const [tenant] = await trx('tenants')
      .insert({ slug, name: slug, plan: 'team', ...columns })
      .returning('*')
    const [user] = await trx('users')
      .insert({ tenant_id: tenant.id, name: 'Olivia', email: `olivia@${slug}.example`, role: 'owner' })
      .returning('*')
    return { tenant, user, scope: new TenantScope(db, { tenantId: tenant.id, userId: user.id }) }
  })
}

export async function createScenario(api, overrides = {}) {
  return created(await api.post('/scenarios', { name: 'Base case', starts_on: '2025-01-01', months: 3, ...overrides }))
}

export async function createAssumption(api, scenarioId, overrides = {}) {
  return created(
    await api.post(`/scenarios/${scenarioId}/assumptions`, {
      kind: 'revenue',
      name: 'Subscriptions',
      amount_cents: 100_000,
      ...overrides,
    }),
  )
}

export async function createConstraint(api, scenarioId, overrides = {}) {
  return created(
    await api.post(`/scenarios/${scenarioId}/constraints`, {
      metric: 'cost',
      bound: 'max',
      limit_cents: 50_000,
      starts_on: '2025-01-01',
      ends_on: '2025-07-01',
      ...overrides,
    }),
  )
}

function created({ status, body }) {
  expect(status, JSON.stringify(body)).toBe(201)
  return body
}
