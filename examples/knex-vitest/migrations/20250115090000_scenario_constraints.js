// A constraint says what a forecast must keep to: "costs at most 50,000 a month during 2025".
export async function up(knex) {
  await knex.schema.createTable('scenario_constraints', (table) => {
    table.specificType('id', 'integer generated always as identity').primary()
    table.integer('tenant_id').notNullable()
    table.integer('scenario_id').notNullable()
    table.text('metric').notNullable()
    table.text('bound').notNullable()
    table.bigInteger('limit_cents').notNullable()
    table.specificType('during', 'daterange').notNullable()
    table.timestamp('created_at').notNullable().defaultTo(knex.fn.now())
    table.foreign(['tenant_id', 'scenario_id']).references(['tenant_id', 'id']).inTable('scenarios').onDelete('CASCADE')
    table.check("metric in ('revenue', 'cost', 'net')", [], 'scenario_constraints_metric')
    table.check("bound in ('min', 'max')", [], 'scenario_constraints_bound')
    table.check('not isempty(during)', [], 'scenario_constraints_during_not_empty')
  })

  // At any day there is at most one lower and one upper limit of a metric.
  await knex.raw(`
    alter table scenario_constraints add constraint scenario_constraints_no_overlap
      exclude using gist (scenario_id with =, metric with =, bound with =, during with &&)
  `)
}

export async function down(knex) {
  await knex.schema.dropTable('scenario_constraints')
}
