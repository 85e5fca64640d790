import { pageQuery } from '../lib/pagination.js'
import { id, object } from '../lib/schema.js'
import { requireRole } from '../middleware/auth.js'
import * as audit from '../repositories/audit.js'

const listQuery = object({ table: { type: 'string' }, row_id: id, ...pageQuery })

export async function auditRoutes(app) {
  app.get(
    '/audit',
    { preHandler: requireRole('owner'), schema: { querystring: listQuery } },
    async ({ scope, query }) => audit.list(scope, query),
  )
}
