import { beforeEach, describe, expect, test } from 'vitest'
import { useApp } from '../helpers/app.js'
import { createScenario, signUp } from '../helpers/factories.js'

const ctx = useApp()
let acme

beforeEach(async () => {
  acme = await signUp(ctx)
  await createScenario(acme.api)
})

const patch = (changes) => acme.api.patch('/scenarios/1', changes)

describe('PATCH /scenarios/:id', () => {
  test('changes what is named and counts the version', async () => {
    const { status, body } = await patch({ version: 1, name: 'Best case', months: 6 })

    expect(status).toBe(200)
    expect(body).toMatchObject({ name: 'Best case', months: 6, ends_on: '2025-07-01', version: 2, status: 'draft' })
  })

  test('refuses an old version and tells the current one', async () => {
    await patch({ version: 1, name: 'Mine' })
    const late = await patch({ version: 1, name: 'Yours' })

    expect(late.status).toBe(409)
    expect(late.body.error).toMatchObject({ code: 'version_conflict', details: { current: 2 } })
    expect((await acme.api.get('/scenarios/1')).body.name).toBe('Mine')
  })

  test('lets exactly one of many writers through', async () => {
    const writers = ['a', 'b', 'c', 'd', 'e', 'f']
    const responses = await Promise.all(writers.map((name) => patch({ version: 1, name })))
    const winners = responses.filter(({ status }) => status === 200)

    expect(winners).toHaveLength(1)
    expect((await acme.api.get('/scenarios/1')).body).toMatchObject({ name: winners[0].body.name, version: 2 })
  })

  test('needs a version', async () => {
    expect((await patch({ name: 'No version' })).status).toBe(400)
  })

  test('can not set the version: a trigger counts', async () => {
    await ctx.db('scenarios').where({ id: 1 }).update({ version: 100 })
    expect((await acme.api.get('/scenarios/1')).body.version).toBe(2)
  })

  test('rolls back when a constraint breaks, version included', async () => {
    expect((await patch({ version: 1, months: 1_000 })).status).toBe(422)
    expect((await acme.api.get('/scenarios/1')).body).toMatchObject({ months: 3, version: 1 })
    expect(await ctx.db('events').where({ type: 'scenario.updated' })).toEqual([])
  })

  test('is a 404 for a scenario that is not there', async () => {
    expect((await acme.api.patch('/scenarios/2', { version: 1, name: 'x' })).status).toBe(404)
  })
})
