import { afterAll, expect, test } from 'vitest'
import { addProduct, knex } from '../../src/shop.js'

afterAll(() => knex.destroy())

for (const round of [1, 2, 3]) {
  test(`numbers begin at 1, round ${round}`, async () => {
    expect(await addProduct('lamp', 100)).toMatchObject({ id: 1 })
    expect(await knex('products').count()).toEqual([{ count: '1' }])
  })
}
