const MONTHS = ['2025-01', '2025-02', '2025-03', '2025-04', '2025-05', '2025-06']

// What happened, for /events. One partition per month; the default partition takes the rest.
export async function up(knex) {
  await knex.raw(`
    create table events (
      id bigserial,
      tenant_id integer not null references tenants (id) on delete cascade,
      type text not null constraint events_type_format check (type ~ '^[a-z_]+[.][a-z_]+$'),
      payload jsonb not null default '{}',
      occurred_at timestamptz not null default now(),
      primary key (id, occurred_at)
    ) partition by range (occurred_at)
  `)
  await knex.raw('create index events_tenant_id_id on events (tenant_id, id)')

  for (const month of MONTHS) {
    const from = new Date(`${month}-01T00:00:00Z`)
    const to = new Date(Date.UTC(from.getUTCFullYear(), from.getUTCMonth() + 1, 1))
    const name = `events_${month.replace('-', '_')}`
    await knex.raw(
      `create table ${name} partition of events for values from ('${from.toISOString()}') to ('${to.toISOString()}')`,
    )
  }
  await knex.raw('create table events_other partition of events default')

  await knex.raw(`
    create function notify_event() returns trigger language plpgsql as $$
    begin
      -- A notification holds 8000 bytes at most, so it carries the id only; listeners read the row.
      perform pg_notify('events', json_build_object('id', new.id, 'tenant_id', new.tenant_id)::text);
      return null;
    end
    $$
  `)
  await knex.raw('create trigger events_notify after insert on events for each row execute function notify_event()')
}

export async function down(knex) {
  await knex.raw('drop table events')
  await knex.raw('drop function notify_event()')
}
