import { describe, expect, test } from 'vitest'
import { apiClient } from '../helpers/api.js'
import { useApp } from '../helpers/app.js'

const ctx = useApp()

const signUpBody = {
  name: 'Acme Ltd',
  slug: 'acme',
  owner: { name: 'Olivia', email: 'olivia@acme.example' },
}

describe('POST /tenants', () => {
  test('creates the tenant, its owner and a first token', async () => {
    const { status, body } = await ctx.anonymous.post('/tenants', signUpBody)

    expect(status).toBe(201)
    expect(body.tenant).toMatchObject({ id: 1, slug: 'acme', plan: 'free', currency: 'EUR', status: 'trial' })
    expect(body.user).toMatchObject({ id: 1, role: 'owner', email: 'olivia@acme.example' })
    expect(body.token).toMatch(/^plan_[\w-]{32}$/)
  })

  test('the token works at once', async () => {
    const { body } = await ctx.anonymous.post('/tenants', signUpBody)
    const me = await apiClient(ctx.app, body.token).get('/tenant')

    expect(me.status).toBe(200)
    expect(me.body.name).toBe('Acme Ltd')
  })

  test('takes plan, currency and region from the reference data', async () => {
    const { body } = await ctx.anonymous.post('/tenants', {
      ...signUpBody,
      plan: 'enterprise',
      currency: 'USD',
      region: 'us',
    })
    expect(body.tenant).toMatchObject({ plan: 'enterprise', currency: 'USD', region: 'us' })
  })

  test('a slug is taken once', async () => {
    await ctx.anonymous.post('/tenants', signUpBody)
    const again = await ctx.anonymous.post('/tenants', signUpBody)

    expect(again.status).toBe(409)
    expect(again.body.error.details.constraint).toBe('tenants_slug_unique')
    expect(await ctx.db('tenants')).toHaveLength(1)
  })

  test('leaves nothing behind when the owner is refused', async () => {
    const { status } = await ctx.anonymous.post('/tenants', {
      ...signUpBody,
      owner: { name: 'Nobody', email: 'not-an-address' },
    })

    expect(status).toBe(422)
    expect(await ctx.db('tenants')).toEqual([])
    expect(await ctx.db('audit_log')).toEqual([])
  })

  test.each([
    ['an unknown plan', { plan: 'platinum' }, 'tenants_plan_foreign'],
    ['an unknown currency', { currency: 'XXX' }, 'tenants_currency_foreign'],
    ['a slug with spaces', { slug: 'Not A Slug' }, 'tenants_slug_format'],
    ['a blank name', { name: '   ' }, 'tenants_name_not_blank'],
  ])('refuses %s', async (_, change, constraint) => {
    const { status, body } = await ctx.anonymous.post('/tenants', { ...signUpBody, ...change })

    expect(status).toBe(422)
    expect(body.error.details.constraint).toBe(constraint)
  })

  test('refuses a body without an owner before it reaches the database', async () => {
    const { status, body } = await ctx.anonymous.post('/tenants', { name: 'Acme', slug: 'acme' })

    expect(status).toBe(400)
    expect(body.error.code).toBe('invalid_request')
  })
})
