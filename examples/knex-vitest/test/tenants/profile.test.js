import { beforeEach, describe, expect, test } from 'vitest'
import { useApp } from '../helpers/app.js'
import { addUser, signUp } from '../helpers/factories.js'

const ctx = useApp()
let acme

beforeEach(async () => {
  acme = await signUp(ctx)
})

describe('PATCH /tenant', () => {
  test('changes name and currency', async () => {
    const { status, body } = await acme.api.patch('/tenant', { name: 'Acme Group', currency: 'CHF' })

    expect(status).toBe(200)
    expect(body).toMatchObject({ id: acme.tenant.id, name: 'Acme Group', currency: 'CHF', plan: 'team' })
  })

  test('moves updated_at forward, by a trigger', async () => {
    const { body } = await acme.api.patch('/tenant', { name: 'Acme Group' })

    expect(new Date(body.updated_at).getTime()).toBeGreaterThan(new Date(acme.tenant.updated_at).getTime())
    expect(body.created_at).toBe(acme.tenant.created_at)
  })

  test('changes only the own tenant', async () => {
    const globex = await signUp(ctx, { slug: 'globex' })
    await acme.api.patch('/tenant', { name: 'Everybody' })

    expect((await globex.api.get('/tenant')).body.name).toBe('GLOBEX')
  })

  test('can not change the slug or the status', async () => {
    await acme.api.patch('/tenant', { name: 'Acme', slug: 'other', status: 'suspended' })

    expect((await acme.api.get('/tenant')).body).toMatchObject({ slug: 'acme', status: 'trial' })
  })

  test('is refused without any change in it', async () => {
    expect((await acme.api.patch('/tenant', {})).status).toBe(400)
  })

  test('is for owners', async () => {
    const editor = await addUser(ctx, acme, 'editor')

    expect((await editor.api.patch('/tenant', { name: 'Mine' })).status).toBe(403)
    expect((await editor.api.get('/tenant')).status).toBe(200)
  })
})
