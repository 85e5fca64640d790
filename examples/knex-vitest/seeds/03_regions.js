const CONTINENTS = [
  { code: 'emea', name: 'Europe, Middle East and Africa' },
  { code: 'amer', name: 'Americas' },
  { code: 'apac', name: 'Asia and Pacific' },
]

const COUNTRIES = [
  { code: 'de', name: 'Germany', parent: 'emea' },
  { code: 'fr', name: 'France', parent: 'emea' },
  { code: 'us', name: 'United States', parent: 'amer' },
  { code: 'jp', name: 'Japan', parent: 'apac' },
]

export async function seed(knex) {
  const seeded = await knex('regions').first()
  if (seeded) return

  const parents = await knex('regions').insert(CONTINENTS).returning(['id', 'code'])
  const idOf = Object.fromEntries(parents.map(({ id, code }) => [code, id]))
  await knex('regions').insert(COUNTRIES.map(({ parent, ...country }) => ({ ...country, parent_id: idOf[parent] })))
}
