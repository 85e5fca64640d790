// "create index concurrently" can't run inside a transaction.
export const config = { transaction: false }

export async function up(knex) {
  await knex.raw(`
    create index concurrently jobs_ready on jobs (priority desc, run_at, id) where status = 'queued'
  `)
}

export async function down(knex) {
  await knex.raw('drop index concurrently jobs_ready')
}
