import { beforeEach, describe, expect, test } from 'vitest'
import { useApp } from '../helpers/app.js'
import { listeningApp, openStream } from '../helpers/event-stream.js'
import { createScenario, signUp } from '../helpers/factories.js'

const ctx = useApp()
let acme
let globex
let server

beforeEach(async () => {
  acme = await signUp(ctx, { slug: 'acme' })
  globex = await signUp(ctx, { slug: 'globex' })
  server = await listeningApp(ctx.db)
})

const listenerPids = async () => {
  const { rows } = await ctx.db.raw(
    "select pid from pg_stat_activity where datname = current_database() and query = 'listen events'",
  )
  return rows.map(({ pid }) => pid)
}

describe('GET /events', () => {
  test('is an event stream', async () => {
    const { response } = await openStream(server.url, acme.token)

    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('text/event-stream')
  })

  test('sends what happens, also through another process: here through another app', async () => {
    const stream = await openStream(server.url, acme.token)
    await createScenario(acme.api)

    expect(await stream.next()).toEqual({
      id: 3, // behind the two sign-ups
      type: 'scenario.created',
      data: { id: 1, name: 'Base case', occurred_at: expect.any(String) },
    })
  })

  test('keeps the order', async () => {
    const stream = await openStream(server.url, acme.token)
    await createScenario(acme.api)
    await acme.api.patch('/scenarios/1', { version: 1, name: 'New name' })
    await acme.api.post('/scenarios/1/archive')

    await acme.scope.insert(
      'events',
      Array.from({ length: 20 }, () => ({ type: 'test.event' })),
    )

    const events = []
    while (events.length < 23) events.push(await stream.next())
    expect(events.slice(0, 4).map(({ type }) => type)).toEqual([
      'scenario.created',
      'scenario.updated',
      'scenario.archived',
      'test.event',
    ])
    expect(events.map(({ id }) => id)).toEqual(Array.from({ length: 23 }, (_, index) => index + 3))
  })

  test('sends nothing of other tenants', async () => {
    const stream = await openStream(server.url, acme.token)
    await createScenario(globex.api, { name: 'Secret' })
    await createScenario(acme.api, { name: 'Ours' })

    expect((await stream.next()).data.name).toBe('Ours')
  })

  test('sends nothing that was rolled back', async () => {
    const stream = await openStream(server.url, acme.token)
    const attempt = acme.scope.write(async (tx) => {
      await tx.emit('scenario.imagined')
      throw new Error('never mind')
    })
    await expect(attempt).rejects.toThrow('never mind')
    await createScenario(acme.api)

    expect((await stream.next()).type).toBe('scenario.created')
  })

  test('serves many subscribers with one LISTEN connection', async () => {
    const tokens = [acme.token, acme.token, globex.token]
    const [one, two, other] = await Promise.all(tokens.map((token) => openStream(server.url, token)))
    expect(await listenerPids()).toHaveLength(1)

    await createScenario(acme.api, { name: 'Ours' })
    await createScenario(globex.api, { name: 'Theirs' })
    const names = (await Promise.all([one, two, other].map((stream) => stream.next()))).map(({ data }) => data.name)
    expect(names).toEqual(['Ours', 'Ours', 'Theirs'])
  })

  test('needs a token', async () => {
    const { response } = await openStream(server.url, 'nobody')

    expect(response.status).toBe(401)
    expect(await listenerPids()).toEqual([])
  })

  test('ends with the app, and its connection too', async () => {
    const stream = await openStream(server.url, acme.token)
    await server.app.close()

    expect(await stream.next()).toBeUndefined()
    expect(await listenerPids()).toEqual([])
  })
})
