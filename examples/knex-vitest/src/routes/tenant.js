import { object, text } from '../lib/schema.js'
import { requireRole } from '../middleware/auth.js'
import * as settings from '../repositories/settings.js'
import * as tenants from '../repositories/tenants.js'

const changes = { ...object({ name: { type: 'string' }, plan: text, currency: text, region: text }), minProperties: 1 }
const setting = object({ value: {} }, ['value'])

/** /tenant is always the token's own tenant; there is no way to name another. */
export async function tenantRoutes(app) {
  const owner = { preHandler: requireRole('owner') }

  app.get('/tenant', async ({ scope }) => tenants.get(scope))

  app.patch('/tenant', { ...owner, schema: { body: changes } }, async ({ scope, body }) => tenants.update(scope, body))

  app.delete('/tenant', owner, async ({ scope }, reply) => {
    await tenants.remove(scope)
    reply.code(204)
  })

  app.get('/tenant/settings', async ({ scope }) => settings.all(scope))

  app.put('/tenant/settings/:key', { ...owner, schema: { body: setting } }, async ({ scope, params, body }) =>
    settings.put(scope, params.key, body.value),
  )

  app.delete('/tenant/settings/:key', owner, async ({ scope, params }, reply) => {
    await settings.remove(scope, params.key)
    reply.code(204)
  })
}
