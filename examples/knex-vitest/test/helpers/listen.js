import pg from 'pg'
import { onTestFinished } from 'vitest'

/** Listens on a channel until the test ends: `next()` gives the notifications one by one. */
export async function listen(channel) {
  const client = new pg.Client({ connectionString: process.env.DATABASE_URL })
  const received = []
  const waiting = []

  client.on('error', () => {})
  client.on('notification', ({ payload }) => {
    const notification = JSON.parse(payload)
    const next = waiting.shift()
    if (next) next(notification)
    else received.push(notification)
  })
  await client.connect()
  onTestFinished(() => client.end())
  await client.query(`listen ${channel}`)

  return {
    next: () => (received.length > 0 ? Promise.resolve(received.shift()) : new Promise((done) => waiting.push(done))),
  }
}
