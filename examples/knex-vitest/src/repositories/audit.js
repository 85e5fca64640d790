import { paginate } from '../lib/pagination.js'

export async function list(scope, { table, row_id, ...page } = {}) {
  const query = scope.from('audit_log').select('*')
  if (table) query.where({ table_name: table })
  if (row_id) query.where({ row_id })
  return paginate(query, { ...page, descending: true })
}
