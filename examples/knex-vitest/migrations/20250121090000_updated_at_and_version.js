const TOUCHED = ['tenants', 'users', 'assumptions']

export async function up(knex) {
  await knex.raw(`
    create function touch_updated_at() returns trigger language plpgsql as $$
    begin
      new.updated_at := clock_timestamp();
      return new;
    end
    $$
  `)
  for (const table of TOUCHED) {
    await knex.raw(
      `create trigger ${table}_touch before update on ${table} for each row execute function touch_updated_at()`,
    )
  }

  // Nobody can forget to count: a scenario's version goes up by one with every update.
  await knex.raw(`
    create function bump_version() returns trigger language plpgsql as $$
    begin
      new.version := old.version + 1;
      new.updated_at := clock_timestamp();
      return new;
    end
    $$
  `)
  await knex.raw(
    'create trigger scenarios_version before update on scenarios for each row execute function bump_version()',
  )
}

export async function down(knex) {
  await knex.raw('drop trigger scenarios_version on scenarios')
  await knex.raw('drop function bump_version()')
  for (const table of TOUCHED) await knex.raw(`drop trigger ${table}_touch on ${table}`)
  await knex.raw('drop function touch_updated_at()')
}
