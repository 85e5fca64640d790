import { once } from 'node:events'
import { createApp } from '../src/app.js'
import { createServices } from '../src/services.js'

/** The API, listening on a free port. */
export async function openShop(options) {
  const services = createServices(options)
  const app = createApp(services)
  app.listen(0, '127.0.0.1')
  await once(app, 'listening')
  return {
    ...services,
    url: `http://127.0.0.1:${app.address().port}`,
    async close() {
      app.closeAllConnections()
      app.close()
      await services.close()
    },
  }
}
