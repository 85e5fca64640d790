import { beforeEach, describe, expect, test } from 'vitest'
import { useDb } from '../helpers/app.js'
import { insertTenant } from '../helpers/factories.js'

const ctx = useDb()
let acme

beforeEach(async () => {
  acme = (await insertTenant(ctx.db)).scope
})

const scenario = (name) => ({ name, starts_on: '2025-01-01' })
const names = () => acme.from('scenarios').orderBy('id').pluck('name')

describe('scope.write', () => {
  test('commits what it did', async () => {
    await acme.write((tx) => tx.insert('scenarios', [scenario('a'), scenario('b')]))
    expect(await names()).toEqual(['a', 'b'])
  })

  test('rolls everything back on an error, and passes it on', async () => {
    const attempt = acme.write(async (tx) => {
      await tx.insert('scenarios', scenario('a'))
      await tx.emit('scenario.created')
      throw new Error('halfway')
    })
    await expect(attempt).rejects.toThrow('halfway')

    expect(await names()).toEqual([])
    expect(await ctx.db('events')).toEqual([])
  })

  test('hides its rows from others until it commits', async () => {
    await acme.write(async (tx) => {
      await tx.insert('scenarios', scenario('a'))
      expect(await tx.from('scenarios')).toHaveLength(1)
      expect(await names()).toEqual([])
    })
    expect(await names()).toEqual(['a'])
  })

  test('tells the triggers the user only inside', async () => {
    const current = (db) => db.raw("select nullif(current_setting('app.user_id', true), '') as id")
    await acme.write(async (tx) => {
      expect((await current(tx.db)).rows).toEqual([{ id: String(acme.userId) }])
    })
    expect((await current(ctx.db)).rows).toEqual([{ id: null }])
  })

  test('gives its connection back, whatever happens', async () => {
    for (let attempt = 0; attempt < 20; attempt += 1) {
      await acme.write(() => Promise.reject(new Error('no'))).catch(() => {})
    }
    expect(ctx.db.client.pool.numUsed()).toBe(0)
  })
})

describe('in a transaction', () => {
  test('a savepoint saves the rest from an error', async () => {
    await ctx.db.transaction(async (trx) => {
      await trx('scenarios').insert({ ...scenario('a'), tenant_id: 1 })
      const nested = trx.transaction((inner) => inner('scenarios').insert({ ...scenario('a'), tenant_id: 1 }))
      await expect(nested).rejects.toMatchObject({ code: '23505' })
      await trx('scenarios').insert({ ...scenario('b'), tenant_id: 1 })
    })
    expect(await names()).toEqual(['a', 'b'])
  })

  test('an error without a savepoint spoils what follows', async () => {
    const trx = await ctx.db.transaction()
    await expect(trx('scenarios').insert({ ...scenario(' '), tenant_id: 99 })).rejects.toMatchObject({ code: '23503' })
    await expect(trx('scenarios')).rejects.toMatchObject({ code: '25P02' })
    await trx.rollback()
  })

  test('a lock that is taken can be refused instead of waited for', async () => {
    await acme.insert('scenarios', scenario('a'))
    await acme.write(async (tx) => {
      await tx.from('scenarios').where({ id: 1 }).forUpdate()
      const other = ctx.db.transaction((trx) => trx('scenarios').where({ id: 1 }).forUpdate().noWait())
      await expect(other).rejects.toMatchObject({ code: '55P03' })
    })
  })
})
