import { beforeEach, describe, expect, test } from 'vitest'
import { useApp } from '../helpers/app.js'
import { createAssumption, createScenario, signUp } from '../helpers/factories.js'

const ctx = useApp()
let acme

beforeEach(async () => {
  acme = await signUp(ctx)
  await createScenario(acme.api)
  await createAssumption(acme.api, 1)
})

describe('an archived scenario', () => {
  test('knows since when', async () => {
    const { body } = await acme.api.post('/scenarios/1/archive')

    expect(body.status).toBe('archived')
    expect(Date.parse(body.archived_at)).toBeGreaterThanOrEqual(Date.parse(body.created_at))
  })

  test('can still be read', async () => {
    await acme.api.post('/scenarios/1/archive')

    expect((await acme.api.get('/scenarios/1')).status).toBe(200)
    expect((await acme.api.get('/scenarios/1/assumptions')).body.data).toHaveLength(1)
  })

  test('can not be changed in any way', async () => {
    await acme.api.post('/scenarios/1/archive')
    const responses = [
      await acme.api.patch('/scenarios/1', { version: 2, name: 'x' }),
      await acme.api.post('/scenarios/1/assumptions', { kind: 'cost', name: 'x', amount_cents: 1 }),
      await acme.api.patch('/scenarios/1/assumptions/1', { name: 'x' }),
      await acme.api.delete('/scenarios/1/assumptions/1'),
      await acme.api.post('/scenarios/1/forecast'),
      await acme.api.post('/scenarios/1/archive'),
    ]
    for (const { status, body } of responses) {
      expect(status).toBe(409)
      expect(body.error.code).toBe('archived')
    }
  })

  test('gives its name free', async () => {
    await acme.api.post('/scenarios/1/archive')
    expect((await createScenario(acme.api)).id).toBe(2)
  })

  test('comes back by restore', async () => {
    await acme.api.post('/scenarios/1/archive')
    const { body } = await acme.api.post('/scenarios/1/restore')

    expect(body).toMatchObject({ status: 'draft', archived_at: null, version: 3 })
  })

  test('can not come back while another has its name', async () => {
    await acme.api.post('/scenarios/1/archive')
    await createScenario(acme.api)

    expect((await acme.api.post('/scenarios/1/restore')).status).toBe(409)
    expect((await acme.api.get('/scenarios/1')).body.status).toBe('archived')
  })

  test('has a time, the database sees to it', async () => {
    const update = ctx.db('scenarios').where({ id: 1 }).update({ status: 'archived' })
    await expect(update).rejects.toMatchObject({ constraint: 'scenarios_archived_has_time' })
  })
})

test('only an archived scenario can be restored', async () => {
  expect((await acme.api.post('/scenarios/1/restore')).status).toBe(404)
})
