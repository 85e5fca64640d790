/** The SQL of `truncate`: what the template carries for it, and the function that resets. */

/** `install` fills the tables below once, after migrations and seeds; parameter 1: the bookkeeping tables as JSON. */
export const INSTALL_COPIES = 'select testdb.install_copies($1::jsonb)'

export const TRUNCATE_FUNCTION = `
-- Seeded tables: how to fill them again, and how to tell that nobody changed them. "place" puts referenced tables before
-- those that refer to them; "amount" rows, none of them younger than transaction "filled", are the seeds.
create table testdb.copies (rel oid primary key, place int not null, refill text not null, amount bigint not null, filled xid not null);
-- Tables that are never emptied: the migrators' own and those of extensions.
create table testdb.kept (rel oid primary key);
create table testdb.sequences (seq oid primary key, last bigint not null, called bool not null, owner oid);
create table testdb.views (rel oid primary key, filenode oid not null, populated bool not null);

create function testdb.install_copies(bookkeeping jsonb) returns void language plpgsql as $install$
declare
  r record;
  seeded bool;
  columns text;
  rows bigint;
begin
  insert into testdb.kept
    select c.oid from jsonb_to_recordset(bookkeeping) as b(schema text, "table" text)
      join pg_class c on c.relname = b."table" join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = coalesce(b.schema, n.nspname)
    union
    select objid from pg_depend where classid = 'pg_class'::regclass and deptype = 'e';

  for r in
    with recursive tables as (
      select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where c.relkind = 'r' and c.relpersistence <> 't' and n.nspname !~ '^pg_'
         and n.nspname not in ('information_schema', 'testdb') and c.oid not in (select rel from testdb.kept)
    ), depth as (
      -- Foreign keys may form cycles, so the depth is capped; the refill does not check them anyway where it may not to.
      select oid, 0 as n from tables
      union
      select f.conrelid, d.n + 1 from depth d join pg_constraint f on f.confrelid = d.oid and f.contype = 'f'
       where f.conrelid <> d.oid and d.n < 50
    )
    select t.oid, max(d.n)::int as place from tables t join depth d using (oid) group by t.oid
  loop
    execute format('select exists (select from only %s)', r.oid::regclass) into seeded;
    continue when not seeded;
    select string_agg(quote_ident(attname), ', ' order by attnum) into columns
      from pg_attribute where attrelid = r.oid and attnum > 0 and not attisdropped and attgenerated = '';
    execute format('create table testdb.%I as select %s from only %s', 'copy_' || r.oid, coalesce(columns, ''), r.oid::regclass);
    get diagnostics rows = row_count;
    insert into testdb.copies values (r.oid, r.place, case when columns is null
      then format('insert into %s select from testdb.%I', r.oid::regclass, 'copy_' || r.oid)
      else format('insert into %s (%s) overriding system value select %s from testdb.%I', r.oid::regclass, columns, columns, 'copy_' || r.oid) end,
      rows, pg_current_xact_id()::xid);
  end loop;

  for r in
    select s.seqrelid as seq, (select d.refobjid from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = s.seqrelid
        and d.deptype in ('a', 'i') and d.refclassid = 'pg_class'::regclass limit 1) as owner
      from pg_sequence s join pg_class c on c.oid = s.seqrelid where c.relpersistence <> 't'
  loop
    execute format('insert into testdb.sequences select %s, last_value, is_called, %L::oid from %s', r.seq, r.owner, r.seq::regclass);
  end loop;

  insert into testdb.views select oid, relfilenode, relispopulated from pg_class where relkind = 'm';
end $install$;

-- Tells whether a seeded table has its seeds and nothing else: each row is as old as they are, and none is missing.
create function testdb.is_as_seeded(copy testdb.copies) returns bool language plpgsql as $seeded$
declare
  same bool;
begin
  execute format('select count(*) = $1 and coalesce(bool_and(age(xmin) >= age($2)), true) from only %s', copy.rel::regclass)
    into same using copy.amount, copy.filled;
  return same;
end $seeded$;

create function testdb.truncate() returns void language plpgsql set lock_timeout = '1s' as $truncate$
declare
  written oid[];
  -- Rows that somebody has written but not committed can not be seen. TRUNCATE waits for their locks, so it gets every table.
  writing bool := exists (select from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and backend_xid is not null);
  r record;
begin
  if exists (select from testdb.copies s where not exists (select from pg_class c where c.oid = s.rel)) then
    raise exception 'a table that has seeds was dropped';
  end if;

  select array_agg(c.oid) into written
    from pg_class c join pg_namespace n on n.oid = c.relnamespace left join testdb.copies s on s.rel = c.oid
   where c.relkind = 'r' and c.relpersistence <> 't' and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'testdb')
     and (pg_relation_size(c.oid) > 0 or s.rel is not null) and not exists (select from testdb.kept k where k.rel = c.oid)
     -- Emptying unchanged seeds would empty all that refers to them too, table by table.
     and (s.rel is null or writing or not testdb.is_as_seeded(s));

  if written is not null then
    execute (select 'truncate ' || string_agg(w::regclass::text, ', ') || ' restart identity cascade' from unnest(written) w);
    -- The cascade may have emptied seeded tables that were not in the list: refill by what is empty now.
    for r in select refill, rel from testdb.copies order by place loop
      if pg_relation_size(r.rel) = 0 then
        execute r.refill;
        update testdb.copies set filled = pg_current_xact_id()::xid where rel = r.rel;
      end if;
    end loop;
  end if;

  for r in select * from testdb.sequences s
     where case when called then last end is distinct from pg_sequence_last_value(seq)
        or not called and (owner is null or owner = any (written))
  loop
    perform setval(r.seq, r.last, r.called);
  end loop;

  for r in select v.rel, v.populated from testdb.views v join pg_class c on c.oid = v.rel
     where c.relfilenode <> v.filenode or c.relispopulated <> v.populated
        -- REFRESH … CONCURRENTLY changes rows in place and needs a unique index.
        or v.populated and pg_relation_size(v.rel) > 0 and exists (select from pg_index i where i.indrelid = v.rel and i.indisunique)
  loop
    execute format('refresh materialized view %s %s', r.rel::regclass, case when r.populated then '' else 'with no data' end);
    update testdb.views v set filenode = c.relfilenode from pg_class c where c.oid = v.rel and v.rel = r.rel;
  end loop;
end $truncate$;
`
