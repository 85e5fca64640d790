export async function up(knex) {
  await knex.schema.createTable('forecasts', (table) => {
    table.specificType('id', 'bigint generated always as identity').primary()
    table.integer('tenant_id').notNullable()
    table.integer('scenario_id').notNullable()
    table.integer('assumption_id').notNullable()
    table.date('month').notNullable()
    table.bigInteger('amount_cents').notNullable()
    table.timestamp('computed_at').notNullable().defaultTo(knex.fn.now())
    table.foreign(['tenant_id', 'scenario_id']).references(['tenant_id', 'id']).inTable('scenarios').onDelete('CASCADE')
    table
      .foreign(['tenant_id', 'assumption_id'])
      .references(['tenant_id', 'id'])
      .inTable('assumptions')
      .onDelete('CASCADE')
    table.unique(['assumption_id', 'month'], { indexName: 'forecasts_one_per_month' })
    table.index(['tenant_id', 'scenario_id', 'month'])
    table.check('extract(day from month) = 1', [], 'forecasts_month_is_first_day')
  })
}

export async function down(knex) {
  await knex.schema.dropTable('forecasts')
}
