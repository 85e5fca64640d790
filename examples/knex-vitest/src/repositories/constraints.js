import { notFound } from '../errors.js'
import { get as getScenario, lockEditable } from './scenarios.js'

const columns = (db) => [
  'id',
  'scenario_id',
  'metric',
  'bound',
  'limit_cents',
  db.raw('lower(during) as starts_on'),
  db.raw('upper(during) as ends_on'),
]

export async function list(scope, scenarioId) {
  await getScenario(scope, scenarioId)
  return scope.from('scenario_constraints').where({ scenario_id: scenarioId }).select(columns(scope.db)).orderBy('id')
}

export async function create(scope, scenarioId, { starts_on, ends_on, ...constraint }) {
  return scope.write(async (tx) => {
    await lockEditable(tx, scenarioId)
    const { id } = await tx.insertOne('scenario_constraints', {
      ...constraint,
      scenario_id: scenarioId,
      during: tx.db.raw("daterange(?::date, ?::date, '[)')", [starts_on, ends_on ?? null]),
    })
    await tx.emit('constraint.created', { id, scenario_id: scenarioId })
    return tx.from('scenario_constraints').where({ id }).first(columns(tx.db))
  })
}

export async function remove(scope, scenarioId, id) {
  return scope.write(async (tx) => {
    await lockEditable(tx, scenarioId)
    const deleted = await tx.delete('scenario_constraints', { id, scenario_id: scenarioId })
    if (deleted === 0) throw notFound('constraint')
  })
}

/** The months of the forecast that break a constraint. */
export async function violations(scope, scenarioId) {
  await getScenario(scope, scenarioId)
  const { db } = scope
  const value = db.raw(`case c.metric when 'revenue' then t.revenue_cents
                                      when 'cost' then t.cost_cents
                                      else t.net_cents end`)
  return scope
    .from('scenario_constraints', 'c')
    .join(scope.rows('forecast_totals', 't'), (join) => {
      join.on('t.scenario_id', 'c.scenario_id').andOn(db.raw('t.month <@ c.during'))
    })
    .where('c.scenario_id', scenarioId)
    .whereRaw("case c.bound when 'max' then ? > c.limit_cents else ? < c.limit_cents end", [value, value])
    .select('c.id as constraint_id', 't.month', 'c.metric', 'c.bound', 'c.limit_cents', { value_cents: value })
    .orderBy(['t.month', 'c.id'])
}
