/** POST /tenants/:tenant/reports: makes the report of a month unless there is one; both get its id. */
export async function createReport({ pool, locks }, tenant, month) {
  return await locks.withXactLock({
    key: `report:${tenant}:${month}`,
    fn: async ({ signal }) => {
      const { rows } = await pool.query('select id from reports where tenant = $1 and month = $2', [tenant, month])
      if (rows.length > 0) return { status: 200, id: rows[0].id }
      const body = await compute(pool, tenant, month)
      // Somebody else may have begun: then this one must not write.
      signal.throwIfAborted()
      const made = await pool.query('insert into reports (tenant, month, body) values ($1, $2, $3) returning id', [
        tenant,
        month,
        body,
      ])
      return { status: 201, id: made.rows[0].id }
    },
  })
}

/** The same without a lock: what two requests at once do to it is in the tests. */
export async function createReportCarelessly({ pool }, tenant, month) {
  const { rows } = await pool.query('select id from reports where tenant = $1 and month = $2', [tenant, month])
  if (rows.length > 0) return { status: 200, id: rows[0].id }
  const body = await compute(pool, tenant, month)
  const made = await pool.query('insert into reports (tenant, month, body) values ($1, $2, $3) returning id', [
    tenant,
    month,
    body,
  ])
  return { status: 201, id: made.rows[0].id }
}

async function compute(pool, tenant, month) {
  const { rows } = await pool.query(`select pg_sleep(0.01), 'report of ' || $1 || ' for ' || $2 as body`, [
    tenant,
    month,
  ])
  return rows[0].body
}
