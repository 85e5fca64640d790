import { beforeEach, describe, expect, test } from 'vitest'
import { useApp } from '../helpers/app.js'
import { createAssumption, createConstraint, createScenario, signUp } from '../helpers/factories.js'

const ctx = useApp()
let acme
let globex

// Everything below belongs to acme; globex has nothing but its owner, and is the one who asks.
beforeEach(async () => {
  acme = await signUp(ctx, { slug: 'acme' })
  globex = await signUp(ctx, { slug: 'globex' })
  await createScenario(acme.api)
  await createAssumption(acme.api, 1)
  await createConstraint(acme.api, 1)
  await acme.api.post('/scenarios/1/forecast')
  await acme.api.post('/jobs', { kind: 'report' })
})

describe('another tenant', () => {
  test('finds none of it', async () => {
    for (const url of [
      '/users/1',
      '/scenarios/1',
      '/scenarios/1/assumptions',
      '/scenarios/1/constraints',
      '/scenarios/1/forecast',
      '/scenarios/1/totals',
      '/scenarios/1/forecast.csv',
      '/scenarios/1/violations',
      '/jobs/1',
    ]) {
      expect((await acme.api.get(url)).status, url).toBe(200)
      expect((await globex.api.get(url)).status, url).toBe(404)
    }
  })

  test.each([
    [
      'scenarios',
      [
        ['patch', '/scenarios/1', { version: 1, name: 'Taken over' }],
        ['delete', '/scenarios/1'],
        ['post', '/scenarios/1/archive'],
        ['post', '/scenarios/1/clone', { name: 'Stolen' }],
        ['post', '/scenarios/1/forecast'],
        ['post', '/scenarios/1/forecast/jobs'],
      ],
    ],
    [
      'assumptions and constraints',
      [
        ['post', '/scenarios/1/assumptions', { kind: 'cost', name: 'x', amount_cents: 1 }],
        ['patch', '/scenarios/1/assumptions/1', { amount_cents: 1 }],
        ['delete', '/scenarios/1/assumptions/1'],
        ['delete', '/scenarios/1/constraints/1'],
      ],
    ],
    [
      'users, tokens and jobs',
      [
        ['patch', '/users/1', { role: 'viewer' }],
        ['delete', '/users/1'],
        ['delete', '/tokens/1'],
        ['post', '/jobs/1/cancel'],
      ],
    ],
  ])('changes no %s', async (_, requests) => {
    const before = await snapshot()
    for (const [method, url, payload] of requests) {
      expect((await globex.api[method](url, payload)).status, `${method} ${url}`).toBe(404)
    }
    expect(await snapshot()).toEqual(before)
  })

  test('has empty lists', async () => {
    for (const url of ['/scenarios', '/jobs', '/scenarios?status=draft', '/scenarios?search=base']) {
      expect((await globex.api.get(url)).body.data, url).toEqual([])
    }
  })

  test('sees its own users, tokens, events and audit log only', async () => {
    expect((await globex.api.get('/users')).body.data.map(({ id }) => id)).toEqual([globex.user.id])
    expect((await globex.api.get('/tokens')).body.data).toHaveLength(1)
    expect((await globex.api.get('/events/history')).body.data.map(({ type }) => type)).toEqual(['tenant.created'])
    const audit = (await globex.api.get('/audit')).body.data
    expect(new Set(audit.map(({ tenant_id }) => tenant_id))).toEqual(new Set([globex.tenant.id]))
  })
})

/** All of acme's rows, except what every request writes. */
async function snapshot() {
  const of = (table) => ctx.db(table).where({ tenant_id: acme.tenant.id }).orderBy('id')
  return Promise.all(
    ['users', 'scenarios', 'assumptions', 'scenario_constraints', 'forecasts', 'jobs', 'events', 'audit_log'].map(of),
  )
}
