export async function up(knex) {
  await knex.schema.createTable('jobs', (table) => {
    table.specificType('id', 'bigint generated always as identity').primary()
    table.integer('tenant_id').notNullable().references('id').inTable('tenants').onDelete('CASCADE')
    table.text('kind').notNullable()
    table.jsonb('payload').notNullable().defaultTo('{}')
    table.specificType('status', 'job_status').notNullable().defaultTo('queued')
    table.smallint('priority').notNullable().defaultTo(0)
    table.text('dedupe_key')
    table.integer('attempts').notNullable().defaultTo(0)
    table.integer('max_attempts').notNullable().defaultTo(3)
    table.timestamp('run_at').notNullable().defaultTo(knex.fn.now())
    table.text('locked_by')
    table.timestamp('locked_at')
    table.timestamp('finished_at')
    table.text('last_error')
    table.timestamp('created_at').notNullable().defaultTo(knex.fn.now())
    table.check('attempts <= max_attempts', [], 'jobs_attempts_limited')
    table.check("(status = 'running') = (locked_by is not null)", [], 'jobs_running_is_locked')
    table.check("jsonb_typeof(payload) = 'object'", [], 'jobs_payload_is_object')
  })

  await knex.raw(`
    create unique index jobs_dedupe on jobs (tenant_id, dedupe_key) where status in ('queued', 'running')
  `)

  await knex.raw(`
    create function notify_job() returns trigger language plpgsql as $$
    begin
      perform pg_notify('jobs', json_build_object('id', new.id, 'tenant_id', new.tenant_id, 'kind', new.kind)::text);
      return null;
    end
    $$
  `)
  await knex.raw('create trigger jobs_notify after insert on jobs for each row execute function notify_job()')
}

export async function down(knex) {
  await knex.schema.dropTable('jobs')
  await knex.raw('drop function notify_job()')
}
