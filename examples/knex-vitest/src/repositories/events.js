import { paginate } from '../lib/pagination.js'

const COLUMNS = ['id', 'type', 'payload', 'occurred_at']

export async function history(scope, { type, ...page } = {}) {
  const query = scope.from('events').select(COLUMNS)
  if (type) query.where({ type })
  return paginate(query, { ...page, descending: true })
}

export async function since(scope, id) {
  return scope.from('events').where('id', '>', id).orderBy('id').select(COLUMNS)
}

export async function get(scope, id) {
  return scope.from('events').where({ id }).first(COLUMNS)
}
