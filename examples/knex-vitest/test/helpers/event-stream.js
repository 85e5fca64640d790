import { onTestFinished } from 'vitest'
import { buildApp } from '../../src/app.js'

/** Listens on a free port with an app of its own, which ends with the test. Returns the address. */
export async function listeningApp(db) {
  const app = await buildApp({ db })
  onTestFinished(() => app.close())
  return { app, url: await app.listen({ port: 0, host: '127.0.0.1' }) }
}

/** Opens /events and resolves when the server is ready; `next()` then gives the events one by one. */
export async function openStream(url, token, { lastEventId } = {}) {
  const abort = new AbortController()
  onTestFinished(() => abort.abort())

  const headers = { authorization: `Bearer ${token}` }
  if (lastEventId !== undefined) headers['last-event-id'] = String(lastEventId)
  const response = await fetch(`${url}/events`, { headers, signal: abort.signal })

  const messages = parse(response.body)
  const stream = {
    response,
    close: () => abort.abort(),
    /** The next event, or undefined when the server has ended the stream. */
    next: async () => (await messages.next()).value,
  }
  if (response.ok) await stream.next() // "ready"
  return stream
}

async function* parse(body) {
  let buffer = ''
  for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
    buffer += chunk
    const blocks = buffer.split('\n\n')
    buffer = blocks.pop()
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split('\n').map((line) => line.split(/: (.*)/s)))
      yield { id: Number(fields.id), type: fields.event, data: JSON.parse(fields.data) }
    }
  }
}
