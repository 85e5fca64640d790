const AUDITED = ['tenants', 'users', 'scenarios', 'assumptions', 'scenario_constraints']

export async function up(knex) {
  await knex.schema.createTable('audit_log', (table) => {
    table.specificType('id', 'bigint generated always as identity').primary()
    table.integer('tenant_id').notNullable().comment('no foreign key: the log outlives its tenant')
    table.integer('user_id').comment('who did it; null for changes made outside the API')
    table.text('table_name').notNullable()
    table.integer('row_id').notNullable()
    table.text('action').notNullable()
    table.jsonb('before')
    table.jsonb('after')
    table.timestamp('at').notNullable().defaultTo(knex.fn.now())
    table.index(['tenant_id', 'id'])
  })

  await knex.raw(`
    create function audit_row() returns trigger language plpgsql as $$
    declare
      previous jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) end;
      current jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) end;
      subject jsonb := coalesce(current, previous);
    begin
      insert into audit_log (tenant_id, user_id, table_name, row_id, action, before, after)
      values (
        (case when tg_table_name = 'tenants' then subject->>'id' else subject->>'tenant_id' end)::integer,
        nullif(current_setting('app.user_id', true), '')::integer,
        tg_table_name,
        (subject->>'id')::integer,
        lower(tg_op),
        previous,
        current
      );
      return null;
    end
    $$
  `)

  for (const table of AUDITED) {
    await knex.raw(
      `create trigger ${table}_audit after insert or update or delete on ${table} for each row execute function audit_row()`,
    )
  }
}

export async function down(knex) {
  for (const table of AUDITED) await knex.raw(`drop trigger ${table}_audit on ${table}`)
  await knex.raw('drop function audit_row()')
  await knex.schema.dropTable('audit_log')
}
