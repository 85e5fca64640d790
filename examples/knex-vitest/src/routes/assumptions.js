import { cents, id, object, params, text } from '../lib/schema.js'
import { requireRole } from '../middleware/auth.js'
import * as assumptions from '../repositories/assumptions.js'

const fields = {
  kind: { type: 'string', enum: ['revenue', 'cost'] },
  name: text,
  amount_cents: cents,
  growth_rate: { type: 'number' },
  first_month: { type: 'integer' },
  last_month: { type: ['integer', 'null'] },
}
const newAssumption = object(fields, ['kind', 'name', 'amount_cents'])
const changes = { ...object(fields), minProperties: 1 }
const order = object({ ids: { type: 'array', items: id } }, ['ids'])

export async function assumptionRoutes(app) {
  const preHandler = requireRole('editor')
  const ofScenario = { params: params('id') }
  const one = { params: params('id', 'assumptionId') }

  app.get('/scenarios/:id/assumptions', { schema: ofScenario }, async ({ scope, params }) => ({
    data: await assumptions.list(scope, params.id),
  }))

  app.post(
    '/scenarios/:id/assumptions',
    { preHandler, schema: { ...ofScenario, body: newAssumption } },
    async ({ scope, params, body }, reply) => {
      reply.code(201)
      return assumptions.create(scope, params.id, body)
    },
  )

  app.put(
    '/scenarios/:id/assumptions/order',
    { preHandler, schema: { ...ofScenario, body: order } },
    async ({ scope, params, body }) => ({ data: await assumptions.reorder(scope, params.id, body.ids) }),
  )

  app.patch(
    '/scenarios/:id/assumptions/:assumptionId',
    { preHandler, schema: { ...one, body: changes } },
    async ({ scope, params, body }) => assumptions.update(scope, params.id, params.assumptionId, body),
  )

  app.delete(
    '/scenarios/:id/assumptions/:assumptionId',
    { preHandler, schema: one },
    async ({ scope, params }, reply) => {
      await assumptions.remove(scope, params.id, params.assumptionId)
      reply.code(204)
    },
  )
}
