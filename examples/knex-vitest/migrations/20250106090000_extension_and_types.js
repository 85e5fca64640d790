export async function up(knex) {
  // Needed for the exclusion constraint on scenario_constraints. A trusted extension: the database owner may create it.
  await knex.raw('create extension if not exists btree_gist')

  await knex.raw("create type tenant_status as enum ('trial', 'active', 'suspended')")
  await knex.raw("create type user_role as enum ('viewer', 'editor', 'owner')")
  await knex.raw("create type scenario_status as enum ('draft', 'active', 'archived')")
  await knex.raw("create type assumption_kind as enum ('revenue', 'cost')")
  await knex.raw("create type job_status as enum ('queued', 'running', 'done', 'failed', 'cancelled')")
}

export async function down(knex) {
  for (const type of ['job_status', 'assumption_kind', 'scenario_status', 'user_role', 'tenant_status']) {
    await knex.raw('drop type ??', [type])
  }
  await knex.raw('drop extension if exists btree_gist')
}
