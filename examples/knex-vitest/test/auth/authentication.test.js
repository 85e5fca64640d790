import { beforeEach, describe, expect, test } from 'vitest'
import { generateToken, hashToken } from '../../src/lib/tokens.js'
import { apiClient } from '../helpers/api.js'
import { useApp } from '../helpers/app.js'
import { signUp } from '../helpers/factories.js'

const ctx = useApp()
let acme

beforeEach(async () => {
  acme = await signUp(ctx)
})

const storedToken = () => ctx.db('api_tokens').where({ token_hash: hashToken(acme.token) })

describe('authentication', () => {
  test('needs a bearer token that is known', async () => {
    for (const authorization of [
      undefined,
      'Basic b2xpdmlhOnNlY3JldA==',
      'Bearer ',
      'Bearer 1234',
      `Bearer ${generateToken()}`,
    ]) {
      const headers = authorization ? { authorization } : {}
      const response = await ctx.app.inject({ url: '/tenant', headers })

      expect(response.statusCode, authorization).toBe(401)
      expect(response.json().error.code).toBe('unauthorized')
    }
  })

  test('does not care for the case of the scheme', async () => {
    const response = await ctx.app.inject({ url: '/tenant', headers: { authorization: `bEaReR ${acme.token}` } })
    expect(response.statusCode).toBe(200)
  })

  test('refuses a revoked token', async () => {
    await storedToken().update({ revoked_at: ctx.db.fn.now() })
    expect((await acme.api.get('/tenant')).status).toBe(401)
  })

  test('refuses an expired token, and takes one that expires tomorrow', async () => {
    await storedToken().update({ expires_at: ctx.db.raw("now() - interval '1 second'") })
    expect((await acme.api.get('/tenant')).status).toBe(401)

    await storedToken().update({ expires_at: ctx.db.raw("now() + interval '1 day'") })
    expect((await acme.api.get('/tenant')).status).toBe(200)
  })

  test('notes when a token was used', async () => {
    expect((await storedToken().first()).last_used_at).toBeNull()
    await acme.api.get('/tenant')
    expect((await storedToken().first()).last_used_at).toBeInstanceOf(Date)
  })

  test('keeps a suspended tenant out', async () => {
    await ctx.db('tenants').where({ id: acme.tenant.id }).update({ status: 'suspended' })
    const { status, body } = await acme.api.get('/scenarios')

    expect(status).toBe(403)
    expect(body.error.message).toContain('suspended')
  })

  test('follows a change of role with the next request', async () => {
    const deputy = { tenant_id: acme.tenant.id, email: 'deputy@acme.example', name: 'Deputy', role: 'owner' }
    await ctx.db('users').insert(deputy)
    await ctx.db('users').where({ id: acme.user.id }).update({ role: 'viewer' })

    expect((await acme.api.patch('/tenant', { name: 'New' })).status).toBe(403)
  })

  test('is not asked for on public routes', async () => {
    for (const url of ['/health', '/plans', '/currencies', '/regions']) {
      expect((await apiClient(ctx.app).get(url)).status, url).toBe(200)
    }
  })
})
