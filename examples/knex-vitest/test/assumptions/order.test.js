import { beforeEach, describe, expect, test } from 'vitest'
import { useApp } from '../helpers/app.js'
import { createAssumption, createScenario, signUp } from '../helpers/factories.js'

const ctx = useApp()
let acme

beforeEach(async () => {
  acme = await signUp(ctx)
  await createScenario(acme.api)
  for (const name of ['a', 'b', 'c']) await createAssumption(acme.api, 1, { name })
})

const order = (ids) => acme.api.put('/scenarios/1/assumptions/order', { ids })
const names = async () => (await acme.api.get('/scenarios/1/assumptions')).body.data.map(({ name }) => name)

describe('PUT /scenarios/:id/assumptions/order', () => {
  test('gives a new order', async () => {
    const { status, body } = await order([3, 1, 2])

    expect(status).toBe(200)
    expect(body.data.map(({ name, position }) => name + position)).toEqual(['c1', 'a2', 'b3'])
  })

  test('survives a gap', async () => {
    await acme.api.delete('/scenarios/1/assumptions/2')
    await order([3, 1])

    expect(await names()).toEqual(['c', 'a'])
    expect(await ctx.db('assumptions').orderBy('position').pluck('position')).toEqual([1, 2])
  })

  test.each([
    ['misses one', [1, 2]],
    ['names one twice', [1, 2, 2]],
    ['names a stranger', [1, 2, 99]],
    ['has one too many', [1, 2, 3, 4]],
  ])('refuses an order that %s', async (_, ids) => {
    expect((await order(ids)).status).toBe(422)
    expect(await names()).toEqual(['a', 'b', 'c'])
  })
})

describe('the deferred unique constraint', () => {
  const swap = (trx) => trx('assumptions').where({ id: 1 }).update({ position: 2 })

  test('lets positions collide inside a transaction', async () => {
    await ctx.db.transaction(async (trx) => {
      await swap(trx)
      await trx('assumptions').where({ id: 2 }).update({ position: 1 })
    })
    expect(await names()).toEqual(['b', 'a', 'c'])
  })

  test('refuses the commit when they still collide', async () => {
    await expect(ctx.db.transaction(swap)).rejects.toMatchObject({ constraint: 'assumptions_position_unique' })
    expect(await names()).toEqual(['a', 'b', 'c'])
  })

  test('speaks at once when it is set immediate', async () => {
    const attempt = ctx.db.transaction(async (trx) => {
      await trx.raw('set constraints assumptions_position_unique immediate')
      await expect(swap(trx)).rejects.toMatchObject({ code: '23505' })
      throw new Error('rolled back')
    })
    await expect(attempt).rejects.toThrow('rolled back')
  })
})
