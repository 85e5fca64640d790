export async function up(knex) {
  await knex.schema.createTable('orders', (table) => {
    table.increments()
    table.integer('product_id').notNullable().references('products.id')
    table.integer('quantity').notNullable()
  })
}

export async function down(knex) {
  await knex.schema.dropTable('orders')
}
