import { TenantScope } from './scope.js'
import * as tokens from './tokens.js'
import * as users from './users.js'

/** Sign-up: tenant, owner and first token, all or nothing. */
export async function signUp(db, { owner, ...tenant }) {
  return db.transaction(async (trx) => {
    const [row] = await trx('tenants').insert(tenant).returning('*')
    const scope = new TenantScope(trx, { tenantId: row.id })
    const user = await users.insert(scope, { ...owner, role: 'owner' })
    const { token } = await tokens.create(scope, { user_id: user.id, label: 'first token' })
    await scope.emit('tenant.created', { slug: row.slug })
    return { tenant: row, user, token }
  })
}

export async function get(scope) {
  return scope.tenant().first()
}

export async function update(scope, changes) {
  return scope.write(async (tx) => {
    const [tenant] = await tx.tenant().update(changes).returning('*')
    await tx.emit('tenant.updated', changes)
    return tenant
  })
}

/** Everything of the tenant goes with it, by cascading foreign keys; only the audit log stays. */
export async function remove(scope) {
  return scope.write((tx) => tx.tenant().delete())
}
