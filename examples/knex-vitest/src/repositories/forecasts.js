import { paginate } from '../lib/pagination.js'
import { get as getScenario, lockEditable } from './scenarios.js'

/** Replaces the scenario's forecast rows by freshly computed ones: one per assumption and month. */
export async function compute(scope, scenarioId) {
  return scope.write(async (tx) => {
    await lockEditable(tx, scenarioId)
    await tx.delete('forecasts', { scenario_id: scenarioId })
    const { rowCount } = await tx.db.raw(
      `insert into forecasts (tenant_id, scenario_id, assumption_id, month, amount_cents)
       select a.tenant_id, a.scenario_id, a.id, s.starts_on + make_interval(months => m),
              round(a.amount_cents * power(1 + a.growth_rate, m - a.first_month))
       from assumptions a
       join scenarios s on s.tenant_id = a.tenant_id and s.id = a.scenario_id
       cross join generate_series(a.first_month, least(coalesce(a.last_month, s.months - 1), s.months - 1)) as m
       where a.tenant_id = :tenantId and a.scenario_id = :scenarioId`,
      { tenantId: tx.tenantId, scenarioId },
    )
    await tx.emit('forecast.computed', { scenario_id: scenarioId, rows: rowCount })
    return rowCount
  })
}

/** Readers are not blocked meanwhile, and never see half of it. */
export async function refreshTotals(db) {
  await db.raw('refresh materialized view concurrently forecast_totals')
}

export async function list(scope, scenarioId, page) {
  await getScenario(scope, scenarioId)
  const query = scope
    .from('forecasts')
    .where({ scenario_id: scenarioId })
    .select('id', 'assumption_id', 'month', 'amount_cents')
  return paginate(query, page)
}

export async function totals(scope, scenarioId) {
  await getScenario(scope, scenarioId)
  return scope
    .from('forecast_totals')
    .where({ scenario_id: scenarioId })
    .select('month', 'revenue_cents', 'cost_cents', 'net_cents')
    .orderBy('month')
}

/** One line per month and assumption, for the CSV export. */
export async function lines(scope, scenarioId) {
  await getScenario(scope, scenarioId)
  return scope
    .from('forecasts')
    .join(scope.rows('assumptions'), 'assumptions.id', 'forecasts.assumption_id')
    .where('forecasts.scenario_id', scenarioId)
    .select('forecasts.month', 'assumptions.kind', 'assumptions.name', 'forecasts.amount_cents')
    .orderBy(['forecasts.month', 'assumptions.position'])
}

export async function exchangeRate(db, base, quote) {
  if (base === quote) return 1
  const row = await db('exchange_rates').where({ base, quote }).first('rate')
  return row && Number(row.rate)
}
