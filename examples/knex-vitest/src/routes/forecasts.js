import { pageQuery } from '../lib/pagination.js'
import { object, params } from '../lib/schema.js'
import { requireRole } from '../middleware/auth.js'
import * as forecasts from '../repositories/forecasts.js'
import * as jobs from '../repositories/jobs.js'
import * as scenarios from '../repositories/scenarios.js'
import * as forecasting from '../services/forecasting.js'

const currency = { type: 'string', pattern: '^[A-Z]{3}$' }

export async function forecastRoutes(app) {
  const preHandler = requireRole('editor')
  const ofScenario = { params: params('id') }

  app.post('/scenarios/:id/forecast', { preHandler, schema: ofScenario }, async ({ scope, params }) =>
    forecasting.recompute(scope, params.id),
  )

  // The same later, by the queue; asking twice before it has run makes one job.
  app.post('/scenarios/:id/forecast/jobs', { preHandler, schema: ofScenario }, async ({ scope, params }, reply) => {
    const { id } = await scenarios.get(scope, params.id)
    reply.code(202)
    return jobs.enqueue(scope, {
      kind: 'forecast.compute',
      payload: { scenario_id: id },
      dedupe_key: `forecast:${id}`,
    })
  })

  app.get(
    '/scenarios/:id/forecast',
    { schema: { ...ofScenario, querystring: object(pageQuery) } },
    async ({ scope, params, query }) => forecasts.list(scope, params.id, query),
  )

  app.get(
    '/scenarios/:id/totals',
    { schema: { ...ofScenario, querystring: object({ currency }) } },
    async ({ scope, params, query }) => forecasting.totals(scope, params.id, query.currency),
  )

  app.get('/scenarios/:id/forecast.csv', { schema: ofScenario }, async ({ scope, params }, reply) => {
    reply.type('text/csv; charset=utf-8')
    return forecasting.csv(scope, params.id)
  })
}
