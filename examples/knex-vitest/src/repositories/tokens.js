import { notFound } from '../errors.js'
import { generateToken, hashToken } from '../lib/tokens.js'

const VISIBLE = ['id', 'user_id', 'label', 'expires_at', 'revoked_at', 'last_used_at', 'created_at']

/** Who a token belongs to. The one look-up without a scope: it is what decides on the scope. */
export async function findIdentity(db, tokenHash) {
  const [row] = await db('api_tokens as token')
    .update({ last_used_at: db.fn.now() })
    .updateFrom('users as u')
    .whereRaw('u.tenant_id = token.tenant_id and u.id = token.user_id')
    .where('token.token_hash', tokenHash)
    .whereNull('token.revoked_at')
    .whereRaw("coalesce(token.expires_at, 'infinity') > now()")
    .returning(['token.id', 'token.tenant_id', 'token.user_id', 'u.role'])
  if (!row) return undefined

  const { status } = await db('tenants').where({ id: row.tenant_id }).first('status')
  return { tokenId: row.id, tenantId: row.tenant_id, userId: row.user_id, role: row.role, tenantStatus: status }
}

/** The token itself is in this answer and nowhere else, ever. */
export async function create(scope, { user_id, label, expires_at }) {
  const token = generateToken()
  const row = await scope.insertOne('api_tokens', { user_id, label, expires_at, token_hash: hashToken(token) })
  return { ...visible(row), token }
}

export async function list(scope) {
  return scope.from('api_tokens').select(VISIBLE).orderBy('id')
}

export async function revoke(scope, id) {
  const [row] = await scope.update('api_tokens', { id, revoked_at: null }, { revoked_at: scope.db.fn.now() })
  if (!row) throw notFound('token')
  return visible(row)
}

function visible(row) {
  return Object.fromEntries(VISIBLE.map((column) => [column, row[column]]))
}
