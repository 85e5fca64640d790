const shared = {
  client: 'pg',
  migrations: { directory: './migrations' },
  seeds: { directory: './seeds' },
}

export default {
  development: {
    ...shared,
    connection: process.env.DATABASE_URL ?? 'postgres://localhost:5432/planner_development',
  },

  test: {
    ...shared,
    connection: process.env.DATABASE_URL,
    pool: { min: 0, max: 2 },
  },

  production: {
    ...shared,
    connection: process.env.DATABASE_URL,
    pool: { min: 0, max: 4 },
  },
}
