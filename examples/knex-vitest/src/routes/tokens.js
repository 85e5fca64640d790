import { id, object, params, text } from '../lib/schema.js'
import { requireRole } from '../middleware/auth.js'
import * as tokens from '../repositories/tokens.js'

const newToken = object({ user_id: id, label: text, expires_at: { type: 'string', format: 'date-time' } }, [
  'user_id',
  'label',
])

export async function tokenRoutes(app) {
  app.addHook('preHandler', requireRole('owner'))

  app.get('/tokens', async ({ scope }) => ({ data: await tokens.list(scope) }))

  app.post('/tokens', { schema: { body: newToken } }, async ({ scope, body }, reply) => {
    reply.code(201)
    return tokens.create(scope, body)
  })

  app.delete('/tokens/:id', { schema: { params: params('id') } }, async ({ scope, params }) =>
    tokens.revoke(scope, params.id),
  )
}
