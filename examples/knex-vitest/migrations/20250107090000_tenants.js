export async function up(knex) {
  await knex.schema.createTable('tenants', (table) => {
    table.specificType('id', 'integer generated always as identity').primary()
    table.text('slug').notNullable().unique()
    table.text('name').notNullable()
    table.specificType('status', 'tenant_status').notNullable().defaultTo('trial')
    table.text('plan').notNullable().defaultTo('free').references('code').inTable('plans')
    table.specificType('currency', 'char(3)').notNullable().defaultTo('EUR').references('code').inTable('currencies')
    table.text('region').references('code').inTable('regions').onUpdate('CASCADE')
    table.timestamps(true, true)
    table.check("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", [], 'tenants_slug_format')
    table.check("btrim(name) <> ''", [], 'tenants_name_not_blank')
  })
}

export async function down(knex) {
  await knex.schema.dropTable('tenants')
}
