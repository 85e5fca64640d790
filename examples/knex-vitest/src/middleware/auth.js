import { forbidden, unauthorized } from '../errors.js'
import { hashToken, isToken } from '../lib/tokens.js'
import { TenantScope } from '../repositories/scope.js'
import { findIdentity } from '../repositories/tokens.js'

const RANK = { viewer: 0, editor: 1, owner: 2 }

/** onRequest hook: the token says who it is, and with that which tenant's rows the request can see. */
export async function authenticate(request) {
  const [scheme, token] = request.headers.authorization?.split(' ') ?? []
  if (scheme?.toLowerCase() !== 'bearer' || !token) throw unauthorized('send an API token as bearer token')
  if (!isToken(token)) throw unauthorized('this is not an API token')

  const { db } = request.server
  const identity = await findIdentity(db, hashToken(token))
  if (!identity) throw unauthorized('the token is unknown, revoked or expired')
  if (identity.tenantStatus === 'suspended') throw forbidden('the tenant is suspended')

  request.identity = identity
  request.scope = new TenantScope(db, identity)
}

/** preHandler hook: viewers read, editors also write, owners also manage users and the tenant. */
export function requireRole(role) {
  return async function checkRole(request) {
    if (RANK[request.identity.role] < RANK[role]) throw forbidden(`this needs the role ${role}`)
  }
}
