import { beforeEach, describe, expect, test } from 'vitest'
import * as jobs from '../../src/repositories/jobs.js'
import { QueueWorker } from '../../src/services/queue-worker.js'
import { useDb } from '../helpers/app.js'
import { insertTenant } from '../helpers/factories.js'

const ctx = useDb()
let acme
let worker

beforeEach(async () => {
  acme = (await insertTenant(ctx.db)).scope
  const handlers = {
    works: async () => {},
    fails: async () => {
      throw new Error('no luck')
    },
  }
  worker = new QueueWorker({ db: ctx.db, handlers, name: 'w1' })
})

const makeDue = () => ctx.db('jobs').update({ run_at: ctx.db.fn.now() })

describe('a job that fails', () => {
  test('goes back with its error and a delay', async () => {
    await jobs.enqueue(acme, { kind: 'fails' })
    await worker.drain()

    const job = await ctx.db('jobs').select('*', ctx.db.raw('run_at > now() as delayed')).first()
    expect(job).toMatchObject({ status: 'queued', attempts: 1, last_error: 'no luck', locked_by: null, delayed: true })
  })

  test('waits twice as long each time', async () => {
    await jobs.enqueue(acme, { kind: 'fails', max_attempts: 5 })
    const delays = []
    for (let attempt = 0; attempt < 4; attempt += 1) {
      await worker.runOne()
      const { seconds } = await ctx.db('jobs').first(ctx.db.raw('extract(epoch from run_at - now()) as seconds'))
      delays.push(Math.round(Number(seconds) / 10) * 10)
      await makeDue()
    }
    expect(delays).toEqual([10, 20, 40, 80])
  })

  test('is given up after its last attempt', async () => {
    await jobs.enqueue(acme, { kind: 'fails', max_attempts: 2 })
    await worker.drain()
    await makeDue()
    await worker.drain()

    expect(await ctx.db('jobs').first()).toMatchObject({ status: 'failed', attempts: 2, finished_at: expect.any(Date) })
    await makeDue()
    expect(await worker.runOne()).toBeUndefined()
  })

  test('does not stop the others', async () => {
    for (const kind of ['works', 'fails', 'works']) await jobs.enqueue(acme, { kind })

    expect(await worker.drain()).toBe(3)
    expect(await ctx.db('jobs').orderBy('id').pluck('status')).toEqual(['done', 'queued', 'done'])
  })

  test('without a handler says so', async () => {
    await jobs.enqueue(acme, { kind: 'unheard' })
    await worker.drain()

    expect((await ctx.db('jobs').first()).last_error).toBe('no handler for unheard')
  })
})

describe('a job whose worker vanished', () => {
  const crash = (age) =>
    ctx.db('jobs').update({ status: 'running', locked_by: 'dead', locked_at: ctx.db.raw('now() - ?::interval', [age]) })

  test('goes back into the queue after a while', async () => {
    await jobs.enqueue(acme, { kind: 'works' })
    await crash('10 minutes')

    expect(await jobs.requeueStale(ctx.db, 300)).toBe(1)
    expect(await worker.drain()).toBe(1)
  })

  test('is left alone before', async () => {
    await jobs.enqueue(acme, { kind: 'works' })
    await crash('1 minute')

    expect(await jobs.requeueStale(ctx.db, 300)).toBe(0)
  })

  test('is no longer its worker’s to complete', async () => {
    await jobs.enqueue(acme, { kind: 'works' })
    const lost = await jobs.claim(ctx.db, 'slow')
    await ctx.db('jobs').update({ locked_by: 'other' })
    await jobs.complete(ctx.db, lost)

    expect(await ctx.db('jobs').first()).toMatchObject({ status: 'running', locked_by: 'other' })
  })
})
