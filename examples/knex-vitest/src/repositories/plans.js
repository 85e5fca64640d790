/**
 * The tenant's plan, with the tenant's row locked: two requests that both see "one scenario left"
 * can't both create it.
 */
export async function lockPlan(scope) {
  const tenant = await scope.tenant().forUpdate().first('plan')
  return scope.db('plans').where({ code: tenant.plan }).first()
}
