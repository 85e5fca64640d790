import { beforeEach, describe, expect, test } from 'vitest'
import { useApp } from '../helpers/app.js'
import { signUp } from '../helpers/factories.js'

const ctx = useApp()
let acme

beforeEach(async () => {
  acme = await signUp(ctx)
})

describe('POST /jobs', () => {
  test('puts a job into the queue', async () => {
    const { status, body } = await acme.api.post('/jobs', { kind: 'report', payload: { year: 2025 } })

    expect(status).toBe(202)
    expect(body).toMatchObject({ id: 1, kind: 'report', payload: { year: 2025 }, status: 'queued', attempts: 0 })
  })

  test('can be for later', async () => {
    const { body } = await acme.api.post('/jobs', { kind: 'report', run_at: '2030-01-01T00:00:00.000Z' })
    expect(body.run_at).toBe('2030-01-01T00:00:00.000Z')
  })

  test('with a dedupe key is there once', async () => {
    await acme.api.post('/jobs', { kind: 'report', dedupe_key: 'monthly' })
    const again = await acme.api.post('/jobs', { kind: 'report', dedupe_key: 'monthly' })

    expect(again.status).toBe(409)
    expect(await ctx.db('jobs')).toHaveLength(1)
  })

  test('with the same key is fine in another tenant, and after the first is done', async () => {
    const globex = await signUp(ctx, { slug: 'globex' })
    await acme.api.post('/jobs', { kind: 'report', dedupe_key: 'monthly' })
    expect((await globex.api.post('/jobs', { kind: 'report', dedupe_key: 'monthly' })).status).toBe(202)

    await ctx.db('jobs').where({ tenant_id: acme.tenant.id }).update({ status: 'done' })
    expect((await acme.api.post('/jobs', { kind: 'report', dedupe_key: 'monthly' })).status).toBe(202)
  })

  test('refuses a payload that is no object', async () => {
    expect((await acme.api.post('/jobs', { kind: 'report', payload: [1] })).status).toBe(400)
    const insert = acme.scope.insert('jobs', { kind: 'report', payload: '[1]' })
    await expect(insert).rejects.toMatchObject({ constraint: 'jobs_payload_is_object' })
  })
})

describe('POST /jobs/:id/cancel', () => {
  test('cancels a job that waits', async () => {
    await acme.api.post('/jobs', { kind: 'report' })
    const { body } = await acme.api.post('/jobs/1/cancel')

    expect(body).toMatchObject({ status: 'cancelled', finished_at: expect.any(String) })
  })

  test('is too late for a running one', async () => {
    await acme.api.post('/jobs', { kind: 'report' })
    await ctx.db('jobs').update({ status: 'running', locked_by: 'w1' })
    const { status, body } = await acme.api.post('/jobs/1/cancel')

    expect(status).toBe(409)
    expect(body.error).toMatchObject({ code: 'not_queued', message: 'the job is running' })
  })
})

test('GET /jobs filters by status', async () => {
  for (const kind of ['a', 'b', 'c']) await acme.api.post('/jobs', { kind })
  await acme.api.post('/jobs/2/cancel')

  expect((await acme.api.get('/jobs?status=queued')).body.data.map(({ kind }) => kind)).toEqual(['a', 'c'])
  expect((await acme.api.get('/jobs?status=cancelled')).body.data.map(({ kind }) => kind)).toEqual(['b'])
})
