import { beforeEach, describe, expect, test } from 'vitest'
import { useApp } from '../helpers/app.js'
import { addUser, createScenario, signUp } from '../helpers/factories.js'

const ctx = useApp()
let acme

beforeEach(async () => {
  acme = await signUp(ctx)
})

const ben = { name: 'Ben', email: 'ben@acme.example' }

describe('users', () => {
  test('are viewers unless said otherwise', async () => {
    const { status, body } = await acme.api.post('/users', ben)

    expect(status).toBe(201)
    expect(body).toMatchObject({ id: 2, role: 'viewer', ...ben })
  })

  test('can be read one by one', async () => {
    const { body } = await acme.api.post('/users', ben)
    expect((await acme.api.get(`/users/${body.id}`)).body).toEqual(body)
    expect((await acme.api.get('/users/999')).status).toBe(404)
  })

  test('change their name, address and role', async () => {
    const { body } = await acme.api.post('/users', ben)
    const changed = await acme.api.patch(`/users/${body.id}`, { email: 'b@acme.example', role: 'editor' })

    expect(changed.body).toMatchObject({ id: body.id, name: 'Ben', email: 'b@acme.example', role: 'editor' })
    expect(new Date(changed.body.updated_at) > new Date(body.updated_at)).toBe(true)
  })

  test('can be removed', async () => {
    const { body } = await acme.api.post('/users', ben)

    expect((await acme.api.delete(`/users/${body.id}`)).status).toBe(204)
    expect((await acme.api.delete(`/users/${body.id}`)).status).toBe(404)
  })

  test('are kept while a scenario names them', async () => {
    const editor = await addUser(ctx, acme, 'editor')
    await createScenario(editor.api)
    const { status, body } = await acme.api.delete(`/users/${editor.user.id}`)

    expect(status).toBe(409)
    expect(body.error.code).toBe('still_referenced')
    expect(await ctx.db('users')).toHaveLength(2)
  })
})

describe('an email address', () => {
  test.each(['BEN@ACME.EXAMPLE', '  ben@acme.example '])('is unique in its tenant, also written %j', async (email) => {
    await acme.api.post('/users', ben)
    const again = await acme.api.post('/users', { name: 'Other Ben', email })

    expect(again.status).toBe(409)
    expect(again.body.error.details.constraint).toBe('users_email_unique_per_tenant')
  })

  test('may be in two tenants', async () => {
    const globex = await signUp(ctx, { slug: 'globex', owner: { name: 'Olivia', email: acme.user.email } })
    expect(globex.user.email).toBe(acme.user.email)
  })

  test('goes to one of two who ask at once', async () => {
    const responses = await Promise.all([acme.api.post('/users', ben), acme.api.post('/users', ben)])
    expect(responses.map(({ status }) => status).sort()).toEqual([201, 409])
  })
})
