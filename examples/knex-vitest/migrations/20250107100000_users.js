export async function up(knex) {
  await knex.schema.createTable('users', (table) => {
    table.specificType('id', 'integer generated always as identity').primary()
    table.integer('tenant_id').notNullable().references('id').inTable('tenants').onDelete('CASCADE')
    table.text('email').notNullable()
    table.specificType('email_normalized', 'text generated always as (lower(btrim(email))) stored')
    table.text('name').notNullable()
    table.specificType('role', 'user_role').notNullable().defaultTo('viewer')
    table.timestamps(true, true)
    table.unique(['tenant_id', 'email_normalized'], { indexName: 'users_email_unique_per_tenant' })
    // The target of composite foreign keys: they make a reference to another tenant's user impossible.
    table.unique(['tenant_id', 'id'], { indexName: 'users_tenant_id_id_unique' })
    table.check("position('@' in email) > 1", [], 'users_email_format')
  })
}

export async function down(knex) {
  await knex.schema.dropTable('users')
}
