import { beforeEach, describe, expect, test } from 'vitest'
import { useApp } from '../helpers/app.js'
import { listeningApp, openStream } from '../helpers/event-stream.js'
import { createScenario, signUp } from '../helpers/factories.js'

const ctx = useApp()
let acme
let url

beforeEach(async () => {
  acme = await signUp(ctx)
  url = (await listeningApp(ctx.db)).url
})

/** Ends the LISTEN connection from outside, as a restart of the server would. */
const cutListener = () =>
  ctx.db.raw(`select pg_terminate_backend(pid) from pg_stat_activity
              where datname = current_database() and query = 'listen events'`)

describe('Last-Event-ID', () => {
  test('brings what was missed, then what is new', async () => {
    const stream = await openStream(url, acme.token)
    await createScenario(acme.api, { name: 'seen' })
    const { id } = await stream.next()
    stream.close()

    await createScenario(acme.api, { name: 'missed' })
    const resumed = await openStream(url, acme.token, { lastEventId: id })
    await createScenario(acme.api, { name: 'new' })

    expect((await resumed.next()).data.name).toBe('missed')
    expect((await resumed.next()).data.name).toBe('new')
  })

  test('of 0 brings everything', async () => {
    await createScenario(acme.api)
    const stream = await openStream(url, acme.token, { lastEventId: 0 })

    expect([await stream.next(), await stream.next()].map(({ type }) => type)).toEqual([
      'tenant.created',
      'scenario.created',
    ])
  })

  test('brings nothing of other tenants', async () => {
    const globex = await signUp(ctx, { slug: 'globex' })
    await createScenario(globex.api, { name: 'Secret' })
    const stream = await openStream(url, acme.token, { lastEventId: 1 })
    await createScenario(acme.api, { name: 'Ours' })

    expect((await stream.next()).data.name).toBe('Ours')
  })

  test('that makes no sense is ignored', async () => {
    const stream = await openStream(url, acme.token, { lastEventId: 'yesterday' })
    await createScenario(acme.api)

    expect((await stream.next()).type).toBe('scenario.created')
  })
})

describe('when the LISTEN connection is lost', () => {
  test('the streams end, so that clients come back', async () => {
    const stream = await openStream(url, acme.token)
    await cutListener()

    expect(await stream.next()).toBeUndefined()
  })

  test('nothing is missed by those who do', async () => {
    const stream = await openStream(url, acme.token)
    await cutListener()
    await stream.next()
    await createScenario(acme.api, { name: 'meanwhile' })

    const resumed = await openStream(url, acme.token, { lastEventId: 1 })
    expect((await resumed.next()).data.name).toBe('meanwhile')
    await createScenario(acme.api, { name: 'afterwards' })
    expect((await resumed.next()).data.name).toBe('afterwards')
  })
})
