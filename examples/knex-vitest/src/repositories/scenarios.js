import { conflict, notFound } from '../errors.js'
import { paginate } from '../lib/pagination.js'
import { lockPlan } from './plans.js'

const VISIBLE = [
  'id',
  'name',
  'description',
  'status',
  'starts_on',
  'ends_on',
  'months',
  'version',
  'cloned_from',
  'created_by',
  'archived_at',
  'created_at',
  'updated_at',
]

export async function create(scope, scenario) {
  return scope.write(async (tx) => {
    await requireRoom(tx)
    const row = await tx.insertOne('scenarios', { ...scenario, created_by: tx.userId })
    await tx.emit('scenario.created', { id: row.id, name: row.name })
    return visible(row)
  })
}

export async function list(scope, { status, search, ...page } = {}) {
  const query = scope.from('scenarios').select(VISIBLE)
  if (status) query.where({ status })
  else query.whereNot({ status: 'archived' })
  if (search) query.whereRaw("search @@ websearch_to_tsquery('english', ?)", [search])
  return paginate(query, page)
}

export async function get(scope, id) {
  const row = await scope.from('scenarios').where({ id }).first(VISIBLE)
  if (!row) throw notFound('scenario')
  return row
}

/** Optimistic locking: the client names the version it has seen, a newer one wins. */
export async function update(scope, id, version, changes) {
  return scope.write(async (tx) => {
    await lockEditable(tx, id)
    const [row] = await tx.update('scenarios', { id, version }, changes)
    if (!row) {
      const current = await get(tx, id)
      throw conflict('version_conflict', `version ${version} is not the newest`, { current: current.version })
    }
    await tx.emit('scenario.updated', { id, version: row.version })
    return visible(row)
  })
}

export async function archive(scope, id) {
  return scope.write(async (tx) => {
    await lockEditable(tx, id)
    const [row] = await tx.update('scenarios', { id }, { status: 'archived', archived_at: tx.db.fn.now() })
    await tx.emit('scenario.archived', { id })
    return visible(row)
  })
}

export async function restore(scope, id) {
  return scope.write(async (tx) => {
    await requireRoom(tx)
    const [row] = await tx.update('scenarios', { id, status: 'archived' }, { status: 'draft', archived_at: null })
    if (!row) throw notFound('archived scenario')
    await tx.emit('scenario.restored', { id })
    return visible(row)
  })
}

export async function remove(scope, id) {
  return scope.write(async (tx) => {
    const deleted = await tx.delete('scenarios', { id })
    if (deleted === 0) throw notFound('scenario')
    await tx.emit('scenario.deleted', { id })
  })
}

/** A copy with all assumptions and constraints, but without computed forecasts. */
export async function clone(scope, id, name) {
  return scope.write(async (tx) => {
    await requireRoom(tx)
    const source = await get(tx, id)
    const copy = await tx.insertOne('scenarios', {
      name,
      description: source.description,
      starts_on: source.starts_on,
      months: source.months,
      cloned_from: source.id,
      created_by: tx.userId,
    })

    const assumptions = await tx
      .from('assumptions')
      .where({ scenario_id: id })
      .select('kind', 'name', 'amount_cents', 'growth_rate', 'first_month', 'last_month', 'position')
      .orderBy('position')
    const constraints = await tx
      .from('scenario_constraints')
      .where({ scenario_id: id })
      .select('metric', 'bound', 'limit_cents', 'during')
      .orderBy('id')
    await tx.insert(
      'assumptions',
      assumptions.map((row) => ({ ...row, scenario_id: copy.id })),
    )
    await tx.insert(
      'scenario_constraints',
      constraints.map((row) => ({ ...row, scenario_id: copy.id })),
    )
    await tx.emit('scenario.cloned', { id: copy.id, from: id })
    return visible(copy)
  })
}

/** Locks the scenario until the transaction ends; an archived one can't be changed. */
export async function lockEditable(scope, id) {
  const row = await scope.from('scenarios').where({ id }).forUpdate().first('id', 'status', 'months')
  if (!row) throw notFound('scenario')
  if (row.status === 'archived') throw conflict('archived', 'an archived scenario can not be changed')
  return row
}

async function requireRoom(scope) {
  const plan = await lockPlan(scope)
  const [{ count }] = await scope.from('scenarios').whereNot({ status: 'archived' }).count()
  if (plan.max_scenarios !== null && count >= plan.max_scenarios) {
    throw conflict('plan_limit', `the plan ${plan.code} has ${plan.max_scenarios} scenarios at most`)
  }
}

function visible(row) {
  return Object.fromEntries(VISIBLE.map((column) => [column, row[column]]))
}
