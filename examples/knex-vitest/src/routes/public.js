import { object, text } from '../lib/schema.js'
import { signUp } from '../repositories/tenants.js'

const newTenant = object(
  {
    name: { type: 'string', maxLength: 200 },
    slug: text,
    plan: text,
    currency: text,
    region: text,
    owner: object({ name: text, email: text }, ['name', 'email']),
  },
  ['name', 'slug', 'owner'],
)

/** What needs no token: health, sign-up and reference data. */
export async function publicRoutes(app) {
  const { db } = app

  app.get('/health', async () => {
    await db.raw('select 1')
    return { status: 'ok' }
  })

  app.post('/tenants', { schema: { body: newTenant } }, async (request, reply) => {
    reply.code(201)
    return signUp(db, request.body)
  })

  app.get('/plans', async () => db('plans').orderBy('price_cents').select('*'))
  app.get('/currencies', async () => db('currencies').orderBy('code').select('*'))
  app.get('/regions', async () =>
    db('regions')
      .leftJoin('regions as parent', 'parent.id', 'regions.parent_id')
      .select('regions.code', 'regions.name', 'parent.code as parent')
      .orderBy('regions.id'),
  )
}
