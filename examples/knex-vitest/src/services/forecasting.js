import { HttpError } from '../errors.js'
import * as forecasts from '../repositories/forecasts.js'
import * as tenants from '../repositories/tenants.js'

/** Computes a scenario's forecast, then brings the totals up to date. */
export async function recompute(scope, scenarioId) {
  const rows = await forecasts.compute(scope, scenarioId)
  await forecasts.refreshTotals(scope.db)
  return { scenario_id: scenarioId, rows }
}

/** Monthly totals, in the tenant's currency or another one we have a rate for. */
export async function totals(scope, scenarioId, currency) {
  const tenant = await tenants.get(scope)
  const quote = currency ?? tenant.currency
  const rate = await forecasts.exchangeRate(scope.db, tenant.currency, quote)
  if (rate === undefined) {
    throw new HttpError(422, 'no_exchange_rate', `there is no rate from ${tenant.currency} to ${quote}`)
  }

  const rows = await forecasts.totals(scope, scenarioId)
  const convert = (cents) => Math.round(cents * rate)
  const data = rows.map(({ month, revenue_cents, cost_cents, net_cents }) => ({
    month,
    revenue_cents: convert(revenue_cents),
    cost_cents: convert(cost_cents),
    net_cents: convert(net_cents),
  }))
  return { currency: quote, data }
}

export async function csv(scope, scenarioId) {
  const rows = await forecasts.lines(scope, scenarioId)
  const lines = rows.map((row) =>
    [row.month, row.kind, quoted(row.name), (row.amount_cents / 100).toFixed(2)].join(','),
  )
  return `${['month,kind,name,amount', ...lines].join('\n')}\n`
}

function quoted(text) {
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
