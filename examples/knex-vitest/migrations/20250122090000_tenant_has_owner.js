// A rule over two tables, checked at commit: a tenant always has an owner.
export async function up(knex) {
  await knex.raw(`
    create function check_tenant_has_owner() returns trigger language plpgsql as $$
    declare
      tenant integer := case when tg_table_name = 'tenants' then (to_jsonb(new)->>'id')::integer
                             else (to_jsonb(old)->>'tenant_id')::integer end;
    begin
      if exists (select from tenants where id = tenant)
        and not exists (select from users where tenant_id = tenant and role = 'owner')
      then
        raise exception 'tenant % has no owner', tenant
          using errcode = 'check_violation', constraint = 'tenant_has_owner';
      end if;
      return null;
    end
    $$
  `)
  await knex.raw(`
    create constraint trigger tenants_owner after insert on tenants
      deferrable initially deferred for each row execute function check_tenant_has_owner()
  `)
  await knex.raw(`
    create constraint trigger users_owner after update or delete on users
      deferrable initially deferred for each row execute function check_tenant_has_owner()
  `)
}

export async function down(knex) {
  await knex.raw('drop trigger users_owner on users')
  await knex.raw('drop trigger tenants_owner on tenants')
  await knex.raw('drop function check_tenant_has_owner()')
}
