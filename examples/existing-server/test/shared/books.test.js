// Written for one shared database: it finds only its own rows, and clears them away.
import { afterAll, afterEach, expect, test } from 'vitest'
import { addProduct, knex, order } from '../../src/shop.js'

const own = () => knex('products').where('sku', 'like', 'books-%')

afterEach(async () => {
  await knex('orders').whereIn('product_id', own().select('id')).delete()
  await own().delete()
})
afterAll(() => knex.destroy())

test('an order costs price times quantity', async () => {
  await addProduct('books-1', 1500)
  expect(await order('books-1', 2)).toBe(3000)
})

test('a product is there once', async () => {
  await addProduct('books-1', 1500)
  await expect(addProduct('books-1', 1500)).rejects.toThrow(/unique/)
})
