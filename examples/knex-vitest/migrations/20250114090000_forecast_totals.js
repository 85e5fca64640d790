export async function up(knex) {
  await knex.raw(`
    create materialized view forecast_totals as
      select
        f.tenant_id,
        f.scenario_id,
        f.month,
        coalesce(sum(f.amount_cents) filter (where a.kind = 'revenue'), 0)::bigint as revenue_cents,
        coalesce(sum(f.amount_cents) filter (where a.kind = 'cost'), 0)::bigint as cost_cents,
        sum(case a.kind when 'revenue' then f.amount_cents else -f.amount_cents end)::bigint as net_cents
      from forecasts f
      join assumptions a on a.id = f.assumption_id
      group by f.tenant_id, f.scenario_id, f.month
  `)
  // "refresh materialized view concurrently" needs a unique index.
  await knex.raw('create unique index forecast_totals_key on forecast_totals (tenant_id, scenario_id, month)')
}

export async function down(knex) {
  await knex.raw('drop materialized view forecast_totals')
}
