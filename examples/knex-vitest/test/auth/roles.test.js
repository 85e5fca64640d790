import { beforeEach, describe, expect, test } from 'vitest'
import { useApp } from '../helpers/app.js'
import { addUser, createScenario, signUp } from '../helpers/factories.js'

const ctx = useApp()
let clients

beforeEach(async () => {
  const acme = await signUp(ctx)
  const editor = await addUser(ctx, acme, 'editor')
  const viewer = await addUser(ctx, acme, 'viewer')
  clients = { owner: acme.api, editor: editor.api, viewer: viewer.api }
  await createScenario(acme.api)
})

const allowed = (status) => status !== 403

describe.each([
  ['viewer', { read: true, write: false, manage: false }],
  ['editor', { read: true, write: true, manage: false }],
  ['owner', { read: true, write: true, manage: true }],
])('a %s', (role, can) => {
  test(`${can.read ? 'may' : 'may not'} read`, async () => {
    const api = clients[role]
    for (const url of ['/scenarios', '/scenarios/1', '/scenarios/1/assumptions', '/users', '/jobs', '/tenant']) {
      expect((await api.get(url)).status, url).toBe(200)
    }
  })

  test(`${can.write ? 'may' : 'may not'} write`, async () => {
    const api = clients[role]
    const responses = [
      await api.post('/scenarios', { name: 'Another', starts_on: '2025-01-01' }),
      await api.post('/scenarios/1/assumptions', { kind: 'cost', name: 'Rent', amount_cents: 1 }),
      await api.post('/scenarios/1/forecast'),
      await api.post('/jobs', { kind: 'report' }),
      await api.delete('/scenarios/1'),
    ]
    expect(responses.map(({ status }) => allowed(status))).toEqual(responses.map(() => can.write))
    expect(await ctx.db('scenarios')).toHaveLength(1)
    expect((await ctx.db('scenarios').first()).name).toBe(can.write ? 'Another' : 'Base case')
  })

  test(`${can.manage ? 'may' : 'may not'} manage users, tokens and the tenant`, async () => {
    const api = clients[role]
    const responses = [
      await api.post('/users', { name: 'New', email: 'new@acme.example' }),
      await api.get('/tokens'),
      await api.get('/audit'),
      await api.patch('/tenant', { name: 'Renamed' }),
    ]
    expect(responses.map(({ status }) => allowed(status))).toEqual(responses.map(() => can.manage))
    expect((await ctx.db('tenants').first()).name).toBe(can.manage ? 'Renamed' : 'ACME')
  })
})

test('nobody makes themselves owner', async () => {
  const editor = await ctx.db('users').where({ role: 'editor' }).first()
  expect((await clients.editor.patch(`/users/${editor.id}`, { role: 'owner' })).status).toBe(403)
  expect((await clients.editor.post(`/users/${editor.id}/make-owner`)).status).toBe(403)
})
