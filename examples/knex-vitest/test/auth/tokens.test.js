import { beforeEach, describe, expect, test } from 'vitest'
import { apiClient } from '../helpers/api.js'
import { useApp } from '../helpers/app.js'
import { addUser, signUp } from '../helpers/factories.js'

const ctx = useApp()
let acme

beforeEach(async () => {
  acme = await signUp(ctx)
})

const create = (changes) => acme.api.post('/tokens', { user_id: acme.user.id, label: 'laptop', ...changes })

describe('API tokens', () => {
  test('a new one works', async () => {
    const { status, body } = await create()

    expect(status).toBe(201)
    expect((await apiClient(ctx.app, body.token).get('/tenant')).status).toBe(200)
  })

  test('only the hash is stored, and it is never shown', async () => {
    const { body } = await create()
    const rows = await ctx.db('api_tokens').select(ctx.db.raw('api_tokens::text as row'))
    const list = await acme.api.get('/tokens')

    expect(rows.some(({ row }) => row.includes(body.token))).toBe(false)
    expect(body).not.toHaveProperty('token_hash')
    for (const token of list.body.data) expect(token).not.toHaveProperty('token_hash')
  })

  test('two tokens are never the same', async () => {
    const [one, two] = await Promise.all([create(), create()])
    expect(one.body.token).not.toBe(two.body.token)
  })

  test('the list has them in order of creation', async () => {
    await create({ label: 'laptop' })
    await create({ label: 'phone' })
    const { body } = await acme.api.get('/tokens')

    expect(body.data.map((token) => token.label)).toEqual(['first token', 'laptop', 'phone'])
  })

  test('a revoked one stops working and stays in the list', async () => {
    const { body } = await create()
    const revoked = await acme.api.delete(`/tokens/${body.id}`)

    expect(revoked.status).toBe(200)
    expect(revoked.body.revoked_at).not.toBeNull()
    expect((await apiClient(ctx.app, body.token).get('/tenant')).status).toBe(401)
    expect((await acme.api.get('/tokens')).body.data).toHaveLength(2)
  })

  test('revoking twice is a 404', async () => {
    const { body } = await create()
    await acme.api.delete(`/tokens/${body.id}`)
    expect((await acme.api.delete(`/tokens/${body.id}`)).status).toBe(404)
  })

  test('can not be made for a user of another tenant', async () => {
    const globex = await signUp(ctx, { slug: 'globex' })
    const { status } = await create({ user_id: globex.user.id })

    expect(status).toBe(422)
    expect(await ctx.db('api_tokens').where({ user_id: globex.user.id })).toHaveLength(1)
  })

  test('go with their user', async () => {
    const viewer = await addUser(ctx, acme, 'viewer')
    await acme.api.delete(`/users/${viewer.user.id}`)

    expect((await viewer.api.get('/tenant')).status).toBe(401)
    expect(await ctx.db('api_tokens').pluck('user_id')).toEqual([acme.user.id])
  })
})
