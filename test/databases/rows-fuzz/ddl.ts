/** DDL that a test may run. */
import type { Random } from './random.ts'
import type { Schema } from './schema.ts'

/** DDL that a reset undoes by dropping what is new. */
export function making(random: Random, schema: Schema): string[] {
  const { name, key, keyType, below, partitioned } = random.pick(schema.tables)
  const refers = ['none', 'deferred', 'composite'].includes(key) || partitioned ? '' : ` references ${name}`
  return random.pick([
    [
      `create table made (id serial primary key, ref ${keyType}${refers})`,
      'insert into made default values',
      `delete from ${name}`,
    ],
    [`create table made as select * from ${name}`, 'alter table made add column more int', 'update made set more = 1'],
    [
      `create table made () inherits (${below[0] ?? name})`,
      'insert into made (n) values (5)',
      `update ${name} set n = 6`,
    ],
    [`create table made_part partition of ${name} for values in (77)`, `insert into ${name} (id, part) values (1, 77)`],
    [`create index made on ${name} (n)`, `create statistics made_too on n, part from ${name}`, `analyze ${name}`],
    [
      `create view made as select * from ${name}`,
      'insert into made (n) values (1)',
      'create rule r as on delete to made do instead nothing',
    ],
    [
      `create materialized view made as select count(*) from ${name}`,
      `delete from ${name}`,
      'refresh materialized view made',
    ],
    [
      `create function made() returns trigger language plpgsql as 'begin return null; end'`,
      `create trigger made before insert on ${name} for each row execute function made()`,
      `insert into ${name} (n) values (9)`,
    ],
    [
      `create type made as enum ('a', 'b')`,
      'create domain made_too as made',
      'create table made_three (m made_too)',
      `insert into made_three values ('a')`,
    ],
    [
      'create schema made',
      'create table made.t (id int generated always as identity)',
      'insert into made.t default values',
      'create sequence made.s',
      `select nextval('made.s')`,
    ],
    ['create sequence made cache 5', `select nextval('made')`, 'alter sequence made increment by 3'],
    [`create policy made on ${name} using (true)`, `update ${name} set n = 3`],
    [
      'create temp table made_temp (id serial primary key)',
      'insert into made_temp default values',
      'drop table made_temp',
    ],
    [
      'create table made (n int)',
      'alter table made rename to made_renamed',
      'insert into made_renamed values (1)',
      'drop table made_renamed',
    ],
    ['begin', 'create table made (n int)', `delete from ${name}`, 'rollback'],
  ])
}

/** DDL on what the template has. */
export function altering(random: Random, schema: Schema): string {
  const { name } = random.pick(schema.tables)
  return random.pick([
    `alter table ${name} add column added int default 3`,
    `alter table ${name} drop column n cascade`,
    `alter table ${name} rename to renamed`,
    `drop table ${name} cascade`,
    `alter table ${name} disable trigger all`,
    `comment on table ${name} is 'changed'`,
    `grant select on ${name} to public`,
    `create or replace function public.doubled(int) returns int language sql immutable as 'select $1 + $1'`,
    `alter type types.mood add value 'new'`,
    'alter table public.audit rename column what to what_else',
    'drop schema app cascade',
    'alter table public.audit set unlogged',
    ...(schema.sequences.length > 0 ? [`alter sequence ${random.pick(schema.sequences)} increment by 9`] : []),
  ])
}
