import { beforeEach, describe, expect, test } from 'vitest'
import { handlers } from '../../src/services/handlers.js'
import { QueueWorker } from '../../src/services/queue-worker.js'
import { useApp } from '../helpers/app.js'
import { createAssumption, createScenario, signUp } from '../helpers/factories.js'

const ctx = useApp()
let acme
let worker

beforeEach(async () => {
  acme = await signUp(ctx)
  await createScenario(acme.api)
  await createAssumption(acme.api, 1, { amount_cents: 10 })
  worker = new QueueWorker({ db: ctx.db, handlers, name: 'w1' })
})

const request = () => acme.api.post('/scenarios/1/forecast/jobs')

describe('POST /scenarios/:id/forecast/jobs', () => {
  test('asks the queue to compute the forecast', async () => {
    const { status, body } = await request()

    expect(status).toBe(202)
    expect(body).toMatchObject({ kind: 'forecast.compute', payload: { scenario_id: 1 }, status: 'queued' })
    expect((await acme.api.get('/scenarios/1/forecast')).body.data).toEqual([])
  })

  test('and the worker does', async () => {
    await request()
    await worker.drain()

    expect((await acme.api.get('/jobs/1')).body.status).toBe('done')
    expect((await acme.api.get('/scenarios/1/totals')).body.data.map((row) => row.net_cents)).toEqual([10, 10, 10])
  })

  test('asking twice is one job', async () => {
    await request()
    expect((await request()).status).toBe(409)

    await worker.drain()
    expect((await request()).status).toBe(202)
  })

  test('fails with a reason when the scenario is archived meanwhile', async () => {
    await request()
    await acme.api.post('/scenarios/1/archive')
    await worker.drain()

    expect((await acme.api.get('/jobs/1')).body).toMatchObject({
      status: 'queued',
      attempts: 1,
      last_error: 'an archived scenario can not be changed',
    })
    expect(await ctx.db('forecasts')).toEqual([])
  })

  test('can not reach the scenario of another tenant, even with a forged payload', async () => {
    const globex = await signUp(ctx, { slug: 'globex' })
    await globex.api.post('/jobs', { kind: 'forecast.compute', payload: { scenario_id: 1 } })
    await worker.drain()

    expect((await globex.api.get('/jobs/1')).status).toBe(200)
    expect(await ctx.db('jobs').first()).toMatchObject({ last_error: 'scenario not found' })
    expect(await ctx.db('forecasts')).toEqual([])
  })

  test('tells the tenant by an event', async () => {
    await request()
    await worker.drain()

    const event = await ctx.db('events').where({ type: 'forecast.computed' }).first()
    expect(event.payload).toEqual({ rows: 3, scenario_id: 1 })
  })
})
