import { pageQuery } from '../lib/pagination.js'
import { object } from '../lib/schema.js'
import * as events from '../repositories/events.js'

export async function eventRoutes(app) {
  const historyQuery = object({ type: { type: 'string' }, ...pageQuery })

  app.get('/events/history', { schema: { querystring: historyQuery } }, async ({ scope, query }) =>
    events.history(scope, query),
  )

  /**
   * Server-sent events of the token's tenant. First "ready", then with a Last-Event-ID header what was missed,
   * then what happens from now on.
   */
  app.get('/events', async (request, reply) => {
    const { scope } = request
    const lastEventId = Number(request.headers['last-event-id'])

    // Subscribed before the table is read, so nothing falls in between; `sent` keeps what is in both from going twice.
    let waiting = []
    const sent = new Set()
    const deliver = (event) => {
      if (waiting) waiting.push(event)
      else if (!sent.has(event.id)) reply.raw.write(format(event))
    }
    const unsubscribe = await app.hub.subscribe(scope.tenantId, { onEvent: deliver, onEnd: () => reply.raw.end() })

    try {
      const missed = Number.isSafeInteger(lastEventId) ? await events.since(scope, lastEventId) : []
      reply.hijack()
      reply.raw.once('close', unsubscribe)
      if (reply.raw.closed || reply.raw.writableEnded) return unsubscribe()

      reply.raw.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
      reply.raw.write('event: ready\ndata: {}\n\n')
      for (const event of missed) {
        sent.add(event.id)
        reply.raw.write(format(event))
      }
      const early = waiting
      waiting = undefined
      for (const event of early) deliver(event)
    } catch (error) {
      unsubscribe()
      throw error
    }
  })
}

function format({ id, type, payload, occurred_at }) {
  return `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify({ ...payload, occurred_at })}\n\n`
}
