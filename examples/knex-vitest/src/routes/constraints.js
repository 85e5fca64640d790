import { cents, date, object, params } from '../lib/schema.js'
import { requireRole } from '../middleware/auth.js'
import * as constraints from '../repositories/constraints.js'

const newConstraint = object(
  {
    metric: { type: 'string' },
    bound: { type: 'string' },
    limit_cents: cents,
    starts_on: date,
    ends_on: date,
  },
  ['metric', 'bound', 'limit_cents', 'starts_on'],
)

export async function constraintRoutes(app) {
  const preHandler = requireRole('editor')
  const ofScenario = { params: params('id') }

  app.get('/scenarios/:id/constraints', { schema: ofScenario }, async ({ scope, params }) => ({
    data: await constraints.list(scope, params.id),
  }))

  app.post(
    '/scenarios/:id/constraints',
    { preHandler, schema: { ...ofScenario, body: newConstraint } },
    async ({ scope, params, body }, reply) => {
      reply.code(201)
      return constraints.create(scope, params.id, body)
    },
  )

  app.delete(
    '/scenarios/:id/constraints/:constraintId',
    { preHandler, schema: { params: params('id', 'constraintId') } },
    async ({ scope, params }, reply) => {
      await constraints.remove(scope, params.id, params.constraintId)
      reply.code(204)
    },
  )

  app.get('/scenarios/:id/violations', { schema: ofScenario }, async ({ scope, params }) => ({
    data: await constraints.violations(scope, params.id),
  }))
}
