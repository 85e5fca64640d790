import { beforeEach, describe, expect, test } from 'vitest'
import { useApp } from '../helpers/app.js'
import { addUser, signUp } from '../helpers/factories.js'

const ctx = useApp()
let acme

beforeEach(async () => {
  acme = await signUp(ctx)
})

describe('tenant settings', () => {
  test('are empty at first', async () => {
    expect((await acme.api.get('/tenant/settings')).body).toEqual({})
  })

  test('keep any JSON value as it is', async () => {
    const values = { text: 'dark', number: 42, no: false, nothing: null, object: { from: 'Jan' }, list: [1, 'two', {}] }
    for (const [key, value] of Object.entries(values)) await acme.api.put(`/tenant/settings/${key}`, { value })

    expect((await acme.api.get('/tenant/settings')).body).toEqual(values)
  })

  test('are replaced, and count their revisions', async () => {
    await acme.api.put('/tenant/settings/theme', { value: 'dark' })
    const { body } = await acme.api.put('/tenant/settings/theme', { value: 'light' })

    expect(body).toEqual({ key: 'theme', value: 'light', revision: 2 })
  })

  test('two writers at once both count', async () => {
    const values = ['a', 'b', 'c', 'd']
    await Promise.all(values.map((value) => acme.api.put('/tenant/settings/theme', { value })))

    const row = await ctx.db('tenant_settings').first()
    expect(row.revision).toBe(4)
    expect(values).toContain(row.value)
  })

  test('can be removed once', async () => {
    await acme.api.put('/tenant/settings/theme', { value: 'dark' })

    expect((await acme.api.delete('/tenant/settings/theme')).status).toBe(204)
    expect((await acme.api.delete('/tenant/settings/theme')).status).toBe(404)
  })

  test('have tidy keys', async () => {
    const { status, body } = await acme.api.put('/tenant/settings/Not%20A%20Key', { value: 1 })

    expect(status).toBe(422)
    expect(body.error.details.constraint).toBe('tenant_settings_key_format')
  })

  test('may have the same key in two tenants', async () => {
    const globex = await signUp(ctx, { slug: 'globex' })
    await acme.api.put('/tenant/settings/theme', { value: 'dark' })
    await globex.api.put('/tenant/settings/theme', { value: 'light' })

    expect((await acme.api.get('/tenant/settings')).body).toEqual({ theme: 'dark' })
  })

  test('are written by owners', async () => {
    const editor = await addUser(ctx, acme, 'editor')
    expect((await editor.api.put('/tenant/settings/theme', { value: 'dark' })).status).toBe(403)
  })
})
