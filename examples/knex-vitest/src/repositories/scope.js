/**
 * The only way from a request to the tables: everything read or written through a scope belongs to its tenant.
 *
 * - `from(table)` reads from a sub-query that holds the tenant's rows only. Whatever is chained to it,
 *   an `orWhere` included, can narrow the result but never widen it to another tenant.
 * - `insert`, `update` and `delete` set or require the tenant themselves, and refuse to move a row to another one.
 * - `write(fn)` runs in a transaction that tells the audit triggers who the user is.
 */
export class TenantScope {
  constructor(db, { tenantId, userId = null }) {
    if (!Number.isInteger(tenantId)) throw new TypeError('a scope needs a tenant')
    this.db = db
    this.tenantId = tenantId
    this.userId = userId
  }

  /** The tenant's rows of a table as a sub-query, for joins. */
  rows(table, alias = table) {
    return this.db.select('*').from(table).where({ tenant_id: this.tenantId }).as(alias)
  }

  from(table, alias = table) {
    return this.db.queryBuilder().from(this.rows(table, alias))
  }

  async insert(table, rows) {
    const list = [rows].flat()
    if (list.length === 0) return []
    return this.db(table)
      .insert(list.map((row) => ({ ...row, tenant_id: this.tenantId })))
      .returning('*')
  }

  async insertOne(table, row) {
    const [inserted] = await this.insert(table, row)
    return inserted
  }

  async update(table, where, changes) {
    if ('tenant_id' in changes) throw new TypeError('a row can not be moved to another tenant')
    return this.db(table)
      .where({ ...where, tenant_id: this.tenantId })
      .update(changes)
      .returning('*')
  }

  async delete(table, where) {
    return this.db(table)
      .where({ ...where, tenant_id: this.tenantId })
      .delete()
  }

  /** The tenant's own row: the one table that has no tenant_id. */
  tenant() {
    return this.db('tenants').where({ id: this.tenantId })
  }

  /** Runs fn with a scope on a transaction; inside a transaction it joins that one. */
  async write(fn) {
    if (this.db.isTransaction) return fn(this)
    return this.db.transaction(async (trx) => {
      await trx.raw("select set_config('app.user_id', ?, true)", [String(this.userId ?? '')])
      return fn(new TenantScope(trx, this))
    })
  }

  /** Notes what happened. Listeners hear of it when the transaction commits, and not at all if it doesn't. */
  async emit(type, payload = {}) {
    return this.insertOne('events', { type, payload: JSON.stringify(payload) })
  }
}
