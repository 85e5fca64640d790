import { beforeEach, describe, expect, test } from 'vitest'
import * as users from '../../src/repositories/users.js'
import { useApp } from '../helpers/app.js'
import { addUser, signUp } from '../helpers/factories.js'

const ctx = useApp()
let acme
let editor

beforeEach(async () => {
  acme = await signUp(ctx)
  editor = await addUser(ctx, acme, 'editor')
})

const rolesOf = async () =>
  Object.fromEntries((await ctx.db('users').orderBy('id')).map(({ name, role }) => [name, role]))

describe('a tenant always has an owner', () => {
  test('the last one can not be removed', async () => {
    const { status, body } = await acme.api.delete(`/users/${acme.user.id}`)

    expect(status).toBe(422)
    expect(body.error.details.constraint).toBe('tenant_has_owner')
    expect(await rolesOf()).toEqual({ Olivia: 'owner', editor: 'editor' })
  })

  test('the last one can not step back', async () => {
    expect((await acme.api.patch(`/users/${acme.user.id}`, { role: 'editor' })).status).toBe(422)
    expect(await rolesOf()).toMatchObject({ Olivia: 'owner' })
  })

  test('one of two can', async () => {
    await acme.api.patch(`/users/${editor.user.id}`, { role: 'owner' })

    expect((await acme.api.patch(`/users/${acme.user.id}`, { role: 'viewer' })).status).toBe(200)
  })

  test('ownership moves in one transaction, without an owner in between', async () => {
    const { status } = await acme.api.post(`/users/${editor.user.id}/make-owner`)

    expect(status).toBe(200)
    expect(await rolesOf()).toEqual({ Olivia: 'editor', editor: 'owner' })
  })

  test('ownership stays when the new owner does not exist', async () => {
    expect((await acme.api.post('/users/999/make-owner')).status).toBe(404)
    expect(await rolesOf()).toMatchObject({ Olivia: 'owner' })
  })

  test('the rule is checked at commit, or earlier on request', async () => {
    const attempt = acme.scope.write(async (tx) => {
      await users.update(tx, acme.user.id, { role: 'viewer' })
      await tx.db.raw('set constraints all immediate')
    })
    await expect(attempt).rejects.toMatchObject({ code: '23514', constraint: 'tenant_has_owner' })
  })

  test('a tenant alone can not be committed', async () => {
    await expect(ctx.db('tenants').insert({ slug: 'empty', name: 'Empty' })).rejects.toMatchObject({
      constraint: 'tenant_has_owner',
    })
  })
})
