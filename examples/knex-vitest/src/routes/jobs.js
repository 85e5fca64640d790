import { pageQuery } from '../lib/pagination.js'
import { object, params, text } from '../lib/schema.js'
import { requireRole } from '../middleware/auth.js'
import * as jobs from '../repositories/jobs.js'

const status = { type: 'string', enum: ['queued', 'running', 'done', 'failed', 'cancelled'] }
const newJob = object(
  {
    kind: text,
    payload: { type: 'object' },
    priority: { type: 'integer', minimum: -100, maximum: 100 },
    dedupe_key: text,
    max_attempts: { type: 'integer', minimum: 1, maximum: 20 },
    run_at: { type: 'string', format: 'date-time' },
  },
  ['kind'],
)
const byId = { params: params('id') }

export async function jobRoutes(app) {
  const preHandler = requireRole('editor')

  app.get('/jobs', { schema: { querystring: object({ status, ...pageQuery }) } }, async ({ scope, query }) =>
    jobs.list(scope, query),
  )

  app.get('/jobs/:id', { schema: byId }, async ({ scope, params }) => jobs.get(scope, params.id))

  app.post('/jobs', { preHandler, schema: { body: newJob } }, async ({ scope, body }, reply) => {
    reply.code(202)
    return jobs.enqueue(scope, body)
  })

  app.post('/jobs/:id/cancel', { preHandler, schema: byId }, async ({ scope, params }) => jobs.cancel(scope, params.id))
}
