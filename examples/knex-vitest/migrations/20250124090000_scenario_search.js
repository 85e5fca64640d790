export async function up(knex) {
  await knex.raw(`
    alter table scenarios add column search tsvector
      generated always as (to_tsvector('english', name || ' ' || description)) stored
  `)
  await knex.raw('create index scenarios_search on scenarios using gin (search)')
}

export async function down(knex) {
  await knex.raw('alter table scenarios drop column search')
}
