import { beforeEach, describe, expect, test } from 'vitest'
import { useApp } from '../helpers/app.js'
import { createScenario, signUp } from '../helpers/factories.js'

const ctx = useApp()
let acme

beforeEach(async () => {
  acme = await signUp(ctx)
})

describe('errors of the database', () => {
  test('have one shape, with the constraint in it', async () => {
    await createScenario(acme.api)
    const { status, body } = await acme.api.post('/scenarios', { name: 'Base case', starts_on: '2025-01-01' })

    expect(status).toBe(409)
    expect(body).toEqual({
      error: {
        code: 'already_exists',
        message: 'violates scenarios_name_unique_per_tenant',
        details: { constraint: 'scenarios_name_unique_per_tenant', table: 'scenarios' },
      },
    })
  })

  test('do not show rows or SQL', async () => {
    await createScenario(acme.api, { name: 'Top secret' })
    const { body } = await acme.api.post('/scenarios', { name: 'top SECRET', starts_on: '2025-01-01' })

    expect(JSON.stringify(body)).not.toMatch(/secret|insert into/i)
  })

  test('that nobody expects are a 500 without details', async () => {
    // A NUL character passes every check of ours, but is no text for Postgres.
    const { status, body } = await acme.api.post('/scenarios', { name: 'a\u0000b', starts_on: '2025-01-01' })

    expect(status).toBe(500)
    expect(body).toEqual({ error: { code: 'internal', message: 'something went wrong' } })
    expect(await ctx.db('scenarios')).toEqual([])
  })

  test('leave the pool usable', async () => {
    for (let attempt = 0; attempt < 10; attempt += 1) {
      await acme.api.post('/scenarios', { name: 'x', starts_on: '2025-01-02' })
    }
    expect((await acme.api.get('/health')).body).toEqual({ status: 'ok' })
    expect(ctx.db.client.pool.numUsed()).toBe(0)
  })
})

describe('errors of the request', () => {
  test('an unknown path', async () => {
    expect(await acme.api.get('/nothing/here?x=1')).toMatchObject({
      status: 404,
      body: { error: { code: 'not_found', message: 'GET /nothing/here does not exist' } },
    })
  })

  test('a body that is no JSON', async () => {
    const response = await ctx.app.inject({
      method: 'POST',
      url: '/tenants',
      headers: { 'content-type': 'application/json' },
      payload: '{"name":',
    })
    expect([response.statusCode, response.json().error.code]).toEqual([400, 'bad_request'])
  })

  test('a failed request writes nothing', async () => {
    const before = await ctx.db('audit_log').count().first()
    await acme.api.post('/scenarios', { name: 'x', starts_on: '2025-01-02' })
    await acme.api.post('/users', { name: 'x', email: acme.user.email })
    await acme.api.patch('/tenant', { currency: 'XXX' })

    expect(await ctx.db('audit_log').count().first()).toEqual(before)
  })
})
