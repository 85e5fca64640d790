import { notFound } from '../errors.js'

export async function all(scope) {
  const rows = await scope.from('tenant_settings').select('key', 'value').orderBy('key')
  return Object.fromEntries(rows.map(({ key, value }) => [key, value]))
}

export async function put(scope, key, value) {
  const [row] = await scope
    .db('tenant_settings')
    .insert({ tenant_id: scope.tenantId, key, value: JSON.stringify(value) })
    .onConflict(['tenant_id', 'key'])
    .merge({ value: JSON.stringify(value), revision: scope.db.raw('tenant_settings.revision + 1') })
    .returning(['key', 'value', 'revision'])
  return row
}

export async function remove(scope, key) {
  const deleted = await scope.delete('tenant_settings', { key })
  if (deleted === 0) throw notFound('setting')
}
