import Knex from 'knex'
import config from '../knexfile.js'

/** Knows nothing of tests: it reads DATABASE_URL as in production. */
export const knex = Knex({ ...config, connection: process.env.DATABASE_URL })

export async function addProduct(sku, price) {
  const [product] = await knex('products').insert({ sku, price }).returning('*')
  return product
}

export async function order(sku, quantity) {
  const product = await knex('products').where({ sku }).first()
  if (!product) throw new Error(`no product ${sku}`)
  await knex('orders').insert({ product_id: product.id, quantity })
  return product.price * quantity
}

export async function turnover() {
  const { rows } = await knex.raw(
    'select coalesce(sum(price * quantity), 0)::int as sum from orders join products on products.id = product_id',
  )
  return rows[0].sum
}
