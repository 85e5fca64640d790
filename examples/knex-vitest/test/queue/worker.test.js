import { EventEmitter, once } from 'node:events'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import * as jobs from '../../src/repositories/jobs.js'
import { QueueWorker } from '../../src/services/queue-worker.js'
import { useDb } from '../helpers/app.js'
import { insertTenant } from '../helpers/factories.js'

const ctx = useDb()
let acme
let ran
let started

beforeEach(async () => {
  acme = (await insertTenant(ctx.db)).scope
  ran = new EventEmitter()
  started = []
})

afterEach(() => Promise.all(started.map((worker) => worker.stop())))

async function startWorker(name = 'w1', handlers = {}) {
  const note = async (scope, payload) => ran.emit('job', { name, tenantId: scope.tenantId, payload })
  const worker = new QueueWorker({ db: ctx.db, handlers: { note, ...handlers }, name, reconnectMs: 1 })
  started.push(worker)
  await worker.start()
  return worker
}

const listeners = () => ctx.db('pg_stat_activity').whereRaw("datname = current_database() and query = 'listen jobs'")
const enqueue = (payload) => jobs.enqueue(acme, { kind: 'note', payload })

describe('a started worker', () => {
  test('takes what is already waiting', async () => {
    await enqueue({ n: 1 })
    const job = once(ran, 'job')
    await startWorker()

    expect((await job)[0].payload).toEqual({ n: 1 })
  })

  test('is woken by a new job', async () => {
    await startWorker()
    const job = once(ran, 'job')
    await enqueue({ n: 1 })

    expect((await job)[0]).toEqual({ name: 'w1', tenantId: acme.tenantId, payload: { n: 1 } })
  })

  test('has finished its work when stop() resolves', async () => {
    const worker = await startWorker()
    const job = once(ran, 'job')
    await enqueue({})
    await job
    await worker.stop()

    expect(await ctx.db('jobs').first()).toMatchObject({ status: 'done', attempts: 1, locked_by: null })
  })

  test('takes no more jobs after stop()', async () => {
    const worker = await startWorker()
    await worker.stop()
    await enqueue({})

    expect(await ctx.db('jobs').first()).toMatchObject({ status: 'queued' })
    expect(await listeners()).toEqual([])
  })

  test('listens again when its connection was cut', async () => {
    await startWorker()
    const [pid] = await listeners().pluck('pid')
    await ctx.db.raw('select pg_terminate_backend(?)', [pid])
    const job = once(ran, 'job')
    await enqueue({ n: 2 })

    expect((await job)[0].payload).toEqual({ n: 2 })
  })

  test('shares the queue with others', async () => {
    const done = new Promise((resolve) => {
      const seen = []
      ran.on('job', ({ payload }) => {
        seen.push(payload.n)
        if (seen.length === 12) resolve(seen)
      })
    })
    for (const name of ['w1', 'w2', 'w3']) await startWorker(name)
    await acme.insert(
      'jobs',
      Array.from({ length: 12 }, (_, n) => ({ kind: 'note', payload: { n } })),
    )

    expect((await done).sort((a, b) => a - b)).toEqual(Array.from({ length: 12 }, (_, n) => n))
  })

  test('gives the handler a scope of the job’s tenant', async () => {
    await insertTenant(ctx.db, 'globex')
    await startWorker('w1', {
      count: async (scope) => ran.emit('job', { slugs: await scope.tenant().pluck('slug') }),
    })
    const job = once(ran, 'job')
    await jobs.enqueue(acme, { kind: 'count' })

    expect((await job)[0].slugs).toEqual(['acme'])
  })
})
