import { conflict, notFound } from '../errors.js'
import { paginate } from '../lib/pagination.js'
import { lockPlan } from './plans.js'

const VISIBLE = ['id', 'email', 'name', 'role', 'created_at', 'updated_at']

export async function insert(scope, user) {
  return visible(await scope.insertOne('users', user))
}

export async function create(scope, user) {
  return scope.write(async (tx) => {
    const plan = await lockPlan(tx)
    const [{ count }] = await tx.from('users').count()
    if (plan.max_users !== null && count >= plan.max_users) {
      throw conflict('plan_limit', `the plan ${plan.code} has ${plan.max_users} users at most`)
    }
    const created = await insert(tx, user)
    await tx.emit('user.created', { id: created.id })
    return created
  })
}

export async function list(scope, { role, ...page }) {
  const query = scope.from('users').select(VISIBLE)
  if (role) query.where({ role })
  return paginate(query, page)
}

export async function get(scope, id) {
  const user = await scope.from('users').where({ id }).first(VISIBLE)
  if (!user) throw notFound('user')
  return user
}

export async function update(scope, id, changes) {
  return scope.write(async (tx) => {
    const [user] = await tx.update('users', { id }, changes)
    if (!user) throw notFound('user')
    return visible(user)
  })
}

export async function remove(scope, id) {
  return scope.write(async (tx) => {
    const deleted = await tx.delete('users', { id })
    if (deleted === 0) throw notFound('user')
  })
}

/** Two users change roles in one transaction: in between there is no owner, at commit there is. */
export async function transferOwnership(scope, fromId, toId) {
  return scope.write(async (tx) => {
    await update(tx, fromId, { role: 'editor' })
    const owner = await update(tx, toId, { role: 'owner' })
    await tx.emit('user.became_owner', { id: toId })
    return owner
  })
}

function visible(row) {
  return Object.fromEntries(VISIBLE.map((column) => [column, row[column]]))
}
