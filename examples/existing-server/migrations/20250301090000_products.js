export async function up(knex) {
  await knex.schema.createTable('products', (table) => {
    table.increments()
    table.text('sku').notNullable().unique()
    table.integer('price').notNullable().checkPositive()
  })
}

export async function down(knex) {
  await knex.schema.dropTable('products')
}
