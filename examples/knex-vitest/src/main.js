// npm start: the API and one queue worker in one process. Run `npm run migrate` once before.
import { buildApp } from './app.js'
import { createDb } from './db.js'
import { handlers } from './services/handlers.js'
import { QueueWorker } from './services/queue-worker.js'

if (!process.env.DATABASE_URL) {
  console.error('Set DATABASE_URL, for example postgres://localhost:5432/planner_development')
  process.exit(2)
}

const db = createDb()
const app = await buildApp({ db, logger: true })
const worker = new QueueWorker({ db, handlers, name: `worker-${process.pid}`, log: app.log })

await worker.start()
await app.listen({ port: Number(process.env.PORT ?? 3000), host: process.env.HOST ?? '127.0.0.1' })

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await worker.stop()
    await app.close()
    await db.destroy()
  })
}
