const PLANS = [
  { code: 'free', name: 'Free', max_scenarios: 3, max_users: 2, price_cents: 0 },
  { code: 'team', name: 'Team', max_scenarios: 25, max_users: 10, price_cents: 4_900 },
  { code: 'enterprise', name: 'Enterprise', max_scenarios: null, max_users: null, price_cents: 49_900 },
]

export async function seed(knex) {
  await knex('plans').insert(PLANS).onConflict('code').merge()
}
