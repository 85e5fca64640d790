export async function up(knex) {
  await knex.schema.createTable('tenant_settings', (table) => {
    table.integer('tenant_id').notNullable().references('id').inTable('tenants').onDelete('CASCADE')
    table.text('key').notNullable()
    table.jsonb('value').notNullable()
    table.integer('revision').notNullable().defaultTo(1)
    table.primary(['tenant_id', 'key'])
    table.check("key ~ '^[a-z][a-z0-9_.]*$'", [], 'tenant_settings_key_format')
  })
}

export async function down(knex) {
  await knex.schema.dropTable('tenant_settings')
}
