export async function up(knex) {
  await knex.schema.createTable('scenarios', (table) => {
    table.specificType('id', 'integer generated always as identity').primary()
    table.integer('tenant_id').notNullable().references('id').inTable('tenants').onDelete('CASCADE')
    table.integer('created_by')
    table.integer('cloned_from').references('id').inTable('scenarios').onDelete('SET NULL')
    table.text('name').notNullable()
    table.text('description').notNullable().defaultTo('')
    table.specificType('status', 'scenario_status').notNullable().defaultTo('draft')
    table.date('starts_on').notNullable()
    table.integer('months').notNullable().defaultTo(12)
    table.specificType(
      'ends_on',
      'date generated always as ((starts_on + make_interval(months => months))::date) stored',
    )
    table.integer('version').notNullable().defaultTo(1)
    table.timestamp('archived_at')
    table.timestamps(true, true)
    table.unique(['tenant_id', 'id'], { indexName: 'scenarios_tenant_id_id_unique' })
    table.foreign(['tenant_id', 'created_by']).references(['tenant_id', 'id']).inTable('users')
    table.check('extract(day from starts_on) = 1', [], 'scenarios_start_on_first_of_month')
    table.check('months between 1 and 60', [], 'scenarios_months_range')
    table.check("(status = 'archived') = (archived_at is not null)", [], 'scenarios_archived_has_time')
  })

  // An archived scenario gives its name free.
  await knex.raw(`
    create unique index scenarios_name_unique_per_tenant
      on scenarios (tenant_id, lower(name)) where status <> 'archived'
  `)
}

export async function down(knex) {
  await knex.schema.dropTable('scenarios')
}
