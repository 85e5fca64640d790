import { beforeEach, describe, expect, test } from 'vitest'
import * as jobs from '../../src/repositories/jobs.js'
import { useDb } from '../helpers/app.js'
import { insertTenant } from '../helpers/factories.js'

const ctx = useDb()
let acme

beforeEach(async () => {
  acme = (await insertTenant(ctx.db)).scope
})

const enqueue = (kind, columns) => jobs.enqueue(acme, { kind, ...columns })

describe('claiming a job', () => {
  test('marks it as running and names the worker', async () => {
    await enqueue('report')
    const job = await jobs.claim(ctx.db, 'w1')

    expect(job).toMatchObject({ id: 1, status: 'running', locked_by: 'w1', attempts: 1, locked_at: expect.any(Date) })
  })

  test('finds nothing in an empty queue', async () => {
    expect(await jobs.claim(ctx.db, 'w1')).toBeUndefined()
  })

  test('goes by priority, then by time, then by id', async () => {
    await enqueue('third')
    await enqueue('fourth')
    await enqueue('second', { run_at: '2020-01-01' })
    await enqueue('first', { priority: 5 })
    await ctx.db('jobs').whereIn('kind', ['third', 'fourth']).update({ run_at: '2021-01-01' })

    const order = []
    for (let job = await jobs.claim(ctx.db, 'w'); job; job = await jobs.claim(ctx.db, 'w')) order.push(job.kind)
    expect(order).toEqual(['first', 'second', 'third', 'fourth'])
  })

  test('leaves jobs for later alone', async () => {
    await enqueue('later', { run_at: ctx.db.raw("now() + interval '1 hour'") })
    expect(await jobs.claim(ctx.db, 'w1')).toBeUndefined()
  })

  test('by several at once gives each job to one of them', async () => {
    await acme.insert(
      'jobs',
      Array.from({ length: 20 }, () => ({ kind: 'report' })),
    )
    const worker = async (name) => {
      const mine = []
      for (let job = await jobs.claim(ctx.db, name); job; job = await jobs.claim(ctx.db, name)) mine.push(job.id)
      return mine
    }
    const claimed = await Promise.all(['w1', 'w2', 'w3', 'w4'].map(worker))

    expect(claimed.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1))
    expect(await ctx.db('jobs').where({ status: 'running', attempts: 1 })).toHaveLength(20)
  })

  test('skips a locked row instead of waiting for it', async () => {
    await enqueue('one')
    await enqueue('two')
    await ctx.db.transaction(async (trx) => {
      expect((await jobs.claim(trx, 'w1')).kind).toBe('one')
      expect((await jobs.claim(ctx.db, 'w2')).kind).toBe('two')
      expect(await jobs.claim(ctx.db, 'w3')).toBeUndefined()
    })
  })

  test('is undone when the transaction of the claim is rolled back', async () => {
    await enqueue('report')
    const trx = await ctx.db.transaction()
    await jobs.claim(trx, 'w1')
    await trx.rollback()

    expect(await ctx.db('jobs').first()).toMatchObject({ status: 'queued', attempts: 0, locked_by: null })
  })

  test('has an index made for it', async () => {
    const { indexdef } = await ctx.db('pg_indexes').where({ indexname: 'jobs_ready' }).first('indexdef')
    expect(indexdef).toMatch(/\(priority DESC, run_at, id\) WHERE \(status = 'queued'/)
  })
})
