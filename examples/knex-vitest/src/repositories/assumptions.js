import { HttpError, notFound } from '../errors.js'
import { get as getScenario, lockEditable } from './scenarios.js'

export async function list(scope, scenarioId) {
  await getScenario(scope, scenarioId)
  return scope.from('assumptions').where({ scenario_id: scenarioId }).orderBy('position').select('*')
}

/** Appends: the scenario's lock makes the next position safe to compute. */
export async function create(scope, scenarioId, assumption) {
  return scope.write(async (tx) => {
    await lockEditable(tx, scenarioId)
    const { last } = await tx.from('assumptions').where({ scenario_id: scenarioId }).max('position as last').first()
    const row = await tx.insertOne('assumptions', {
      ...assumption,
      scenario_id: scenarioId,
      position: (last ?? 0) + 1,
    })
    await tx.emit('assumption.created', { id: row.id, scenario_id: scenarioId })
    return row
  })
}

export async function update(scope, scenarioId, id, changes) {
  return scope.write(async (tx) => {
    await lockEditable(tx, scenarioId)
    const [row] = await tx.update('assumptions', { id, scenario_id: scenarioId }, changes)
    if (!row) throw notFound('assumption')
    await tx.emit('assumption.updated', { id, scenario_id: scenarioId })
    return row
  })
}

export async function remove(scope, scenarioId, id) {
  return scope.write(async (tx) => {
    await lockEditable(tx, scenarioId)
    const deleted = await tx.delete('assumptions', { id, scenario_id: scenarioId })
    if (deleted === 0) throw notFound('assumption')
    await tx.emit('assumption.deleted', { id, scenario_id: scenarioId })
  })
}

/** Gives the assumptions the order of the ids. Positions collide on the way, hence the deferred constraint. */
export async function reorder(scope, scenarioId, ids) {
  return scope.write(async (tx) => {
    await lockEditable(tx, scenarioId)
    const rows = await tx.from('assumptions').where({ scenario_id: scenarioId }).select('id')
    const known = new Set(rows.map((row) => row.id))
    if (ids.length !== known.size || new Set(ids).size !== ids.length || !ids.every((id) => known.has(id))) {
      throw new HttpError(422, 'order_incomplete', 'name every assumption of the scenario exactly once')
    }
    for (const [index, id] of ids.entries()) {
      await tx.update('assumptions', { id, scenario_id: scenarioId }, { position: index + 1 })
    }
    await tx.emit('assumption.reordered', { scenario_id: scenarioId })
    return list(tx, scenarioId)
  })
}
