export async function up(knex) {
  await knex.schema.createTable('assumptions', (table) => {
    table.specificType('id', 'integer generated always as identity').primary()
    table.integer('tenant_id').notNullable()
    table.integer('scenario_id').notNullable()
    table.specificType('kind', 'assumption_kind').notNullable()
    table.text('name').notNullable()
    table.bigInteger('amount_cents').notNullable()
    table.decimal('growth_rate', 6, 4).notNullable().defaultTo(0).comment('per month: 0.02 is 2 %')
    table.integer('first_month').notNullable().defaultTo(0)
    table.integer('last_month').comment('null: until the scenario ends')
    table.integer('position').notNullable()
    table.timestamps(true, true)
    table.foreign(['tenant_id', 'scenario_id']).references(['tenant_id', 'id']).inTable('scenarios').onDelete('CASCADE')
    table.unique(['tenant_id', 'id'], { indexName: 'assumptions_tenant_id_id_unique' })
    // Checked at commit, so that one transaction can swap positions.
    table.unique(['scenario_id', 'position'], {
      indexName: 'assumptions_position_unique',
      deferrable: 'deferred',
    })
    table.check('amount_cents >= 0', [], 'assumptions_amount_not_negative')
    table.check('growth_rate between -1 and 10', [], 'assumptions_growth_range')
    table.check('first_month >= 0', [], 'assumptions_first_month_not_negative')
    table.check('last_month >= first_month', [], 'assumptions_month_order')
  })
}

export async function down(knex) {
  await knex.schema.dropTable('assumptions')
}
