import { pageQuery } from '../lib/pagination.js'
import { date, id, object, params } from '../lib/schema.js'
import { requireRole } from '../middleware/auth.js'
import * as scenarios from '../repositories/scenarios.js'

const name = { type: 'string', minLength: 1, maxLength: 200 }
const description = { type: 'string', maxLength: 10_000 }
const months = { type: 'integer' }
const status = { type: 'string', enum: ['draft', 'active', 'archived'] }

const newScenario = object({ name, description, starts_on: date, months }, ['name', 'starts_on'])
const changes = object(
  { version: id, name, description, starts_on: date, months, status: { type: 'string', enum: ['draft', 'active'] } },
  ['version'],
)
const listQuery = object({ status, search: { type: 'string' }, ...pageQuery })
const byId = { params: params('id') }

export async function scenarioRoutes(app) {
  const preHandler = requireRole('editor')

  app.get('/scenarios', { schema: { querystring: listQuery } }, async ({ scope, query }) =>
    scenarios.list(scope, query),
  )

  app.get('/scenarios/:id', { schema: byId }, async ({ scope, params }) => scenarios.get(scope, params.id))

  app.post('/scenarios', { preHandler, schema: { body: newScenario } }, async ({ scope, body }, reply) => {
    reply.code(201)
    return scenarios.create(scope, body)
  })

  app.patch('/scenarios/:id', { preHandler, schema: { ...byId, body: changes } }, async ({ scope, params, body }) => {
    const { version, ...rest } = body
    return scenarios.update(scope, params.id, version, rest)
  })

  app.delete('/scenarios/:id', { preHandler, schema: byId }, async ({ scope, params }, reply) => {
    await scenarios.remove(scope, params.id)
    reply.code(204)
  })

  app.post('/scenarios/:id/archive', { preHandler, schema: byId }, async ({ scope, params }) =>
    scenarios.archive(scope, params.id),
  )

  app.post('/scenarios/:id/restore', { preHandler, schema: byId }, async ({ scope, params }) =>
    scenarios.restore(scope, params.id),
  )

  app.post(
    '/scenarios/:id/clone',
    { preHandler, schema: { ...byId, body: object({ name }, ['name']) } },
    async ({ scope, params, body }, reply) => {
      reply.code(201)
      return scenarios.clone(scope, params.id, body.name)
    },
  )
}
