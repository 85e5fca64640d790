import Fastify from 'fastify'
import { errorHandler, notFoundHandler } from './errors.js'
import { authenticate } from './middleware/auth.js'
import { assumptionRoutes } from './routes/assumptions.js'
import { auditRoutes } from './routes/audit.js'
import { constraintRoutes } from './routes/constraints.js'
import { eventRoutes } from './routes/events.js'
import { forecastRoutes } from './routes/forecasts.js'
import { jobRoutes } from './routes/jobs.js'
import { publicRoutes } from './routes/public.js'
import { scenarioRoutes } from './routes/scenarios.js'
import { tenantRoutes } from './routes/tenant.js'
import { tokenRoutes } from './routes/tokens.js'
import { userRoutes } from './routes/users.js'
import { EventHub } from './services/event-hub.js'

/** The whole HTTP API on one pool. The caller owns the pool, `app.close()` ends everything else. */
export async function buildApp({ db, databaseUrl = process.env.DATABASE_URL, logger = false }) {
  const app = Fastify({ logger, forceCloseConnections: true })
  const hub = new EventHub({ db, databaseUrl })

  app.setErrorHandler(errorHandler)
  app.setNotFoundHandler(notFoundHandler)
  app.decorate('db', db)
  app.decorate('hub', hub)
  app.addHook('preClose', () => hub.close())

  await app.register(publicRoutes)

  await app.register(async (secured) => {
    secured.decorateRequest('identity', null)
    secured.decorateRequest('scope', null)
    secured.addHook('onRequest', authenticate)

    await secured.register(tenantRoutes)
    await secured.register(userRoutes)
    await secured.register(tokenRoutes)
    await secured.register(scenarioRoutes)
    await secured.register(assumptionRoutes)
    await secured.register(forecastRoutes)
    await secured.register(constraintRoutes)
    await secured.register(jobRoutes)
    await secured.register(eventRoutes)
    await secured.register(auditRoutes)
  })

  return app
}
