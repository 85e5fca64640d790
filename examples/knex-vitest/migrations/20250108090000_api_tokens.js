export async function up(knex) {
  await knex.schema.createTable('api_tokens', (table) => {
    table.specificType('id', 'integer generated always as identity').primary()
    table.integer('tenant_id').notNullable()
    table.integer('user_id').notNullable()
    table.text('label').notNullable()
    table.specificType('token_hash', 'bytea').notNullable().unique()
    table.timestamp('expires_at')
    table.timestamp('revoked_at')
    table.timestamp('last_used_at')
    table.timestamp('created_at').notNullable().defaultTo(knex.fn.now())
    table.foreign(['tenant_id', 'user_id']).references(['tenant_id', 'id']).inTable('users').onDelete('CASCADE')
    table.check('octet_length(token_hash) = 32', [], 'api_tokens_hash_is_sha256')
  })
}

export async function down(knex) {
  await knex.schema.dropTable('api_tokens')
}
