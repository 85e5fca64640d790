// Only right in a database of its own that is put back after each test: it counts everything and clears nothing away.
import { afterAll, expect, test } from 'vitest'
import { addProduct, knex, order, turnover } from '../../src/shop.js'

afterAll(() => knex.destroy())

test('there is nothing at first', async () => {
  expect(await turnover()).toBe(0)
})

test('the turnover is the sum of all orders', async () => {
  await addProduct('chair', 9000)
  await order('chair', 1)
  await order('chair', 2)
  expect(await turnover()).toBe(27_000)
})

test('the first product has the first number, whatever ran before', async () => {
  expect(await addProduct('table', 100)).toMatchObject({ id: 1 })
  expect(await turnover()).toBe(0)
})
