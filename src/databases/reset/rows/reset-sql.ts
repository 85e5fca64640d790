/** The functions that put a database back. */
import { TEXT_FORMS } from './remember-sql.ts'

/**
 * How long a reset waits for work of the previous test (ms). Below the server's default `deadlock_timeout` of one second, so that
 * the reset is never the victim of a deadlock.
 */
export const LOCK_WAIT_MS = 900

/**
 * By how many pages a table may grow before it is vacuumed. Every statement looks at the dead rows, too: 52 pages of them made the
 * reset of a table of 100 rows take 0.4 ms where 0.15 are enough. To write such a table anew takes 3 ms, once in some 25 resets.
 */
const GROWTH_PAGES = 64
const SMALL_GROWTH_PAGES = 16

export const SETTINGS = `set session_replication_role = replica set row_security = off set testdb.busy = on set lock_timeout = '${LOCK_WAIT_MS}ms' ${TEXT_FORMS}`

export const RESET = `
-- Takes the notes of what was written: the tables with their partitions and heirs. One statement, so one snapshot: a note that is
-- committed later stays for the next reset.
create function testdb.take_dirty(out rels oid[], out whole oid[]) language sql as $take$
  with recursive taken as (delete from testdb.dirty returning rel, whole),
    tree as (select rel, whole from taken union select i.inhrelid, true from tree join pg_catalog.pg_inherits i on i.inhparent = tree.rel)
  select coalesce(array_agg(distinct rel), '{}'), coalesce(array_agg(distinct rel) filter (where whole), '{}') from tree
$take$;

-- Drops what tests have made. Returns what can only be undone by a fresh clone; its notes stay until there is one.
create function testdb.undo_ddl() returns text language plpgsql as $undo$
declare
  r record;
begin
  -- RESTART alone leaves the definition as it was, and the value is put back with the others.
  delete from testdb.ddl d using testdb.sequences b, pg_catalog.pg_sequence s
   where d.tag = 'ALTER SEQUENCE' and not d.dropped and b.seq = d.objid and s.seqrelid = d.objid and s::text = b.definition;
  for r in
    select distinct on (d.classid, d.objid) d.classid, d.objid from testdb.ddl d
     where d.objid is not null and not exists (select from testdb.known k where k.classid = d.classid and k.objid = d.objid)
  loop
    -- Something else may have taken it along.
    perform testdb.drop_object(r.classid, r.objid);
    delete from testdb.ddl d where d.classid = r.classid and d.objid = r.objid;
  end loop;
  return (select string_agg(distinct concat_ws(' ', d.tag, d.identity), ', ') from testdb.ddl d where not d.dependent);
end $undo$;

create function testdb.drop_object(class_id oid, object_id oid) returns void language plpgsql as $drop$
declare
  object record;
  parent oid;
begin
  -- The sequence of an identity column, an index of a partition: they go with what they are a part of, and can not go alone.
  if exists (select from pg_catalog.pg_depend d where d.classid = class_id and d.objid = object_id and d.objsubid = 0 and d.deptype in ('i', 'P', 'S')) then
    return;
  end if;
  select * into object from pg_catalog.pg_identify_object(class_id, object_id, 0);
  if object.identity is null then
    return;
  end if;
  select i.inhparent into parent from pg_catalog.pg_class c join pg_catalog.pg_inherits i on i.inhrelid = c.oid
   where class_id = 'pg_catalog.pg_class'::regclass and c.oid = object_id and c.relispartition and c.relkind in ('r', 'p');
  if parent is not null then
    -- Dropped as a partition it would take along the foreign keys that reference its parent; and to detach it, none of its rows may be referenced.
    execute format('alter table %1$s disable trigger all; delete from %1$s; alter table %2$s detach partition %1$s', object.identity, testdb.name_of(parent));
  end if;
  execute format('drop %s if exists %s cascade', case object.type when 'statistics object' then 'statistics' else replace(object.type, '-', ' ') end, object.identity);
end $drop$;

-- Puts back the rows of one table; returns how it should be vacuumed when it has grown. A small one is written anew: free space in
-- the middle would be filled first, and its rows were in another order then.
create function testdb.put_back(t testdb.tables, whole bool) returns text language plpgsql as $put_back$
declare
  name text := testdb.name_of(t.rel);
  known testdb.writers;
  intact bigint; others bigint;
  in_order bool;
begin
  select * into known from testdb.writers w where w.rel = t.rel and w.level = t.level;
  if known.rel is not null then
    execute format('select count(*) filter (where xmin = any ($1)), count(*) filter (where xmin <> all ($1)) from only %s', name)
      into intact, others using known.xids;
    if intact < known.amount then
      for attempt in 1 .. 5 loop
        execute t.remove;
        -- A page that is cleaned while it is filled gives later rows a place before earlier ones; the next time it is clean.
        execute format('with filled as (%s returning ctid) select bool_and(ctid > before) from (select ctid, lag(ctid) over () as before from filled) f', t.restore)
          into in_order;
        exit when in_order is distinct from false;
      end loop;
      update testdb.writers w set xids = array[pg_current_xact_id()::xid] where w.rel = t.rel and w.level = t.level;
    elsif others > 0 then
      -- What a test does most is to add rows: then the others, and their order, are not touched.
      execute format('delete from only %s where xmin <> all ($1)', name) using known.xids;
    end if;
  elsif whole or t.remove_keyed is null then
    execute t.remove;
    if t.restore is not null then
      execute t.restore;
    end if;
  else
    execute t.remove_keyed;
    if t.restore_keyed is not null then
      execute t.restore_keyed;
    end if;
  end if;
  if t.remove_keyed is not null then
    execute 'delete from testdb.keys_' || t.rel;
  end if;
  if known.rel is not null and pg_relation_size(t.rel) > 8192 * (${SMALL_GROWTH_PAGES} + 2 * t.pages) then
    return '(full, skip_locked) ' || name;
  elsif pg_relation_size(t.rel) > 8192 * (${GROWTH_PAGES} + 2 * t.pages) then
    return name;
  end if;
  return null;
end $put_back$;

-- For the planner a table without rows that was never vacuumed may be as large as ten pages, and one that was is empty: a plan that a
-- session keeps from then on reads the whole table, however many rows a test adds. A clone has the former.
create function testdb.as_never_vacuumed() returns void language sql set search_path = pg_catalog as $never$
  update pg_class c set relpages = 0, reltuples = -1 from testdb.tables t
   where c.oid = t.rel and t.copy is null and c.reltuples = 0
$never$;

-- Puts back the rows of a materialized view that its query would not give now. Only a refresh may write to it, and that asks the
-- query; so it is a table until this is done. Nobody else sees that, and a failure undoes it.
create function testdb.put_back_view(view oid, copy text) returns void language plpgsql as $put_back_view$
begin
  update pg_catalog.pg_class set relkind = 'r', relhasrules = false, relispopulated = true where oid = view;
  execute format('truncate %1$s; insert into %1$s select * from %2$s', testdb.name_of(view), copy);
  update pg_catalog.pg_class set relkind = 'm', relhasrules = true where oid = view;
end $put_back_view$;

-- The one call after each test. "schema_changes": what the test changed in the schema and only a fresh clone undoes.
-- "vacuum": tables that have grown, with options, for the caller, because a function can not vacuum.
-- "waiting": a session is about to write when this is done.
create function testdb.reset(out schema_changes text, out vacuum text[], out waiting bool) language plpgsql security definer ${SETTINGS} as $reset$
declare
  rels oid[] := '{}';
  whole oid[];
  remembered text := (select large_objects from testdb.state);
  keyed bool := false;
  grown text;
  t testdb.tables;
  r record;
begin
  -- Waits for every open transaction that wrote.
  lock table testdb.dirty, testdb.ddl in share row exclusive mode;
  if exists (select from testdb.ddl) then
    schema_changes := testdb.undo_ddl();
  end if;
  if remembered = '0' then
    perform lo_unlink(oid) from pg_largeobject_metadata;
  elsif remembered <> testdb.large_objects() then
    raise exception 'large objects were changed';
  end if;

  if exists (select from testdb.dirty) then
    select d.rels, d.whole into rels, whole from testdb.take_dirty() d;
    for t in select * from testdb.tables where rel = any (rels) loop
      continue when schema_changes is not null and not exists (select from pg_class where oid = t.rel);
      if t.remove_keyed is not null and not keyed then
        -- Few keys in large tables, but the planner has no statistics of the keys.
        perform set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true);
        keyed := true;
      end if;
      grown := testdb.put_back(t, t.rel = any (whole));
      if grown is not null then
        vacuum := array_append(vacuum, grown);
      end if;
      if t.remove_keyed is not null and pg_relation_size('testdb.keys_' || t.rel) > 131072 then
        vacuum := array_append(vacuum, 'testdb.keys_' || t.rel);
      end if;
    end loop;
    -- A refresh is done as the view's owner, whose rows a policy may choose.
    perform set_config('row_security', 'on', true);
    for r in select * from testdb.views where rel = any (rels) order by rel loop
      if r.copy is not null then
        perform testdb.put_back_view(r.rel, r.copy);
      else
        execute format('refresh materialized view %s %s', testdb.name_of(r.rel), case when r.populated then '' else 'with no data' end);
      end if;
      update testdb.views set touched = true where rel = r.rel;
    end loop;
    if pg_relation_size('testdb.dirty') > 131072 then
      vacuum := array_append(vacuum, 'testdb.dirty');
    end if;
  end if;

  -- nextval() leaves no note, and a rollback does not undo it: every sequence is looked at.
  if schema_changes is null then
    perform setval(seq, last, called) from testdb.moved_sequences() where cache = 1;
  end if;
  for r in select * from testdb.sequences where schema_changes is not null or cache > 1 loop
    continue when schema_changes is not null and not exists (select from pg_class where oid = r.seq);
    if r.cache > 1 and (exists (select from testdb.moved_sequences() m where m.seq = r.seq)
        -- One that begins again after its end may have come to the same value.
        or (select seqcycle from pg_sequence where seqrelid = r.seq)) then
      -- Other sessions go on with the values that they have cached, unless the sequence is altered.
      execute format('alter sequence %s restart', testdb.name_of(r.seq));
    end if;
    perform setval(r.seq, r.last, r.called);
  end loop;

  -- Its note, and its rows, come right after the commit; the lock may also be one that a trigger's "alter table" has taken.
  waiting := exists (select from pg_catalog.pg_locks where not granted and locktype = 'relation'
    and database = (select oid from pg_catalog.pg_database where datname = current_database()));
end $reset$;

-- A crash of the server empties unlogged tables, in the template too: the next reset fills them.
create function testdb.recover() returns void language sql as $recover$
  insert into testdb.dirty select t.rel, true from testdb.tables t join pg_catalog.pg_class c on c.oid = t.rel where c.relpersistence = 'u'
$recover$;
`
