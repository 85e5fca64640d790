import { pageQuery } from '../lib/pagination.js'
import { object, params, text } from '../lib/schema.js'
import { requireRole } from '../middleware/auth.js'
import * as users from '../repositories/users.js'

const role = { type: 'string', enum: ['viewer', 'editor', 'owner'] }
const newUser = object({ email: text, name: text, role }, ['email', 'name'])
const changes = { ...object({ email: text, name: text, role }), minProperties: 1 }
const byId = { params: params('id') }

export async function userRoutes(app) {
  const preHandler = requireRole('owner')

  app.get('/users', { schema: { querystring: object({ role, ...pageQuery }) } }, async ({ scope, query }) =>
    users.list(scope, query),
  )

  app.get('/users/:id', { schema: byId }, async ({ scope, params }) => users.get(scope, params.id))

  app.post('/users', { preHandler, schema: { body: newUser } }, async ({ scope, body }, reply) => {
    reply.code(201)
    return users.create(scope, body)
  })

  app.patch('/users/:id', { preHandler, schema: { ...byId, body: changes } }, async ({ scope, params, body }) =>
    users.update(scope, params.id, body),
  )

  app.delete('/users/:id', { preHandler, schema: byId }, async ({ scope, params }, reply) => {
    await users.remove(scope, params.id)
    reply.code(204)
  })

  app.post('/users/:id/make-owner', { preHandler, schema: byId }, async ({ scope, params }) =>
    users.transferOwnership(scope, scope.userId, params.id),
  )
}
