/** What the template carries for `rows`: the tables of the tracker, the triggers that note writes and DDL, and its installation. */

/** `install` calls it once, after migrations and seeds. */
export const INSTALL_TRACKER = 'select testdb.install_tracker()'

export const TRACKER = `
-- Written tables since the last reset, one row per statement. Append-only: a unique row would make writers wait for each other.
-- "whole": which rows were touched is not known (TRUNCATE). An open transaction that wrote holds ROW EXCLUSIVE here, so a
-- stronger lock is an exact barrier. Autovacuum's lock would conflict with it.
create unlogged table testdb.dirty (rel oid not null, whole bool not null) with (autovacuum_enabled = off);
-- DDL since the last reset. "dependent": it was dropped because something else was.
create unlogged table testdb.ddl (tag text not null, identity text, classid oid, objid oid, dropped bool not null, dependent bool not null) with (autovacuum_enabled = off);
-- How to put a table back to its state at "level": 0 is the template, above are checkpoints. "remove" and "restore" are complete
-- statements; "restore" is null for a table that was empty. "copy": what to select the remembered rows from. "pages": its size then.
create table testdb.tables (rel oid primary key, level int not null, copy text, key_columns text[], remove text not null, restore text, remove_keyed text, restore_keyed text, pages bigint not null);
-- Small tables whose rows are known by the transactions that wrote them: "amount" rows, and no other row has one of these as xmin.
-- To look at xmin costs a tenth of comparing rows, and needs neither a key nor equality.
create table testdb.writers (rel oid not null, level int not null, amount bigint not null, xids xid[] not null, primary key (rel, level));
-- The rows of small tables, as texts: a copy of its own for each would be three files more in every clone, and its columns would
-- keep a test from dropping a type.
create table testdb.lines (rel oid not null, level int not null, place int not null, line text[] not null, primary key (rel, level, place));
create table testdb.sequences (seq oid primary key, last bigint not null, called bool not null, cache bigint not null, owner oid, definition text not null);
-- "copy": what has its rows where a refresh would give others. "touched": refreshed at this level, so the level below has other rows.
create table testdb.views (rel oid primary key, populated bool not null, copy text, touched bool not null default false);
create table testdb.state (level int not null, large_objects text not null);
-- What the levels below the present one remember; "at": the level that hides it.
create table testdb.tables_below (at int not null, like testdb.tables);
create table testdb.sequences_below (at int not null, seq oid not null, last bigint not null, called bool not null);
create table testdb.views_below (at int not null, like testdb.views);
-- Every object of the template. Read only after DDL: what is not in it was made by a test.
create table testdb.known (classid oid not null, objid oid not null, primary key (classid, objid));
-- Those of them that a checkpoint has added.
create table testdb.known_above (level int not null, tag text not null, identity text, classid oid not null, objid oid not null);

-- BEFORE the statement, so that a late writer waits here and not with row locks in its hands. As its definer, because a role
-- with a right on this schema that has the schema's name would have it in its search path.
create function testdb.mark() returns trigger language plpgsql security definer as $mark$
begin
  if current_setting('testdb.busy', true) is distinct from 'on' then
    insert into testdb.dirty values (tg_relid, tg_op = 'TRUNCATE');
  end if;
  return null;
end $mark$;

create function testdb.note_ddl() returns event_trigger language plpgsql security definer set search_path = pg_catalog as $note$
begin
  if current_setting('testdb.busy', true) = 'on' then
    -- A "cascade" must not reach what a reset does not make again.
    if tg_event = 'sql_drop' and exists (select from pg_event_trigger_dropped_objects() o join testdb.known k on k.classid = o.classid and k.objid = o.objid) then
      raise exception 'the template''s objects depend on what a test has made';
    end if;
  elsif tg_event = 'sql_drop' then
    -- Before 15 the defaults of temporary tables are not reported as temporary, but their names are.
    insert into testdb.ddl select tg_tag, object_identity, classid, objid, true, not original from pg_event_trigger_dropped_objects()
      where not is_temporary and coalesce(schema_name, '') !~ '^pg_t' and coalesce(address_names[1], '') !~ '^pg_t';
  elsif tg_tag = 'REFRESH MATERIALIZED VIEW' then
    insert into testdb.dirty select objid, true from pg_event_trigger_ddl_commands();
  else
    insert into testdb.ddl select command_tag, object_identity, classid, objid, false, false from pg_event_trigger_ddl_commands()
      where coalesce(schema_name, '') !~ '^pg_t' and command_tag <> 'REINDEX' and not in_extension;
  end if;
end $note$;

-- A text that changes with the large objects.
create function testdb.large_objects() returns text language sql set search_path = pg_catalog as $large$
  select count(*) || coalesce((select md5(string_agg(loid || '.' || pageno || md5(data), ',' order by loid, pageno)) from pg_largeobject), '')
    from pg_largeobject_metadata
$large$;

-- Tells whether a refresh would change nothing. No search path of its own: the view's functions may need the user's.
create function testdb.is_fresh(view oid) returns bool language plpgsql set row_security = on as $fresh$
declare
  q text := pg_catalog.rtrim(pg_catalog.pg_get_viewdef(view), '; ');
  same bool;
begin
  if not (select relispopulated from pg_catalog.pg_class where oid = view) then
    return true;
  end if;
  if exists (select from pg_catalog.pg_class where relrowsecurity) then
    -- A refresh sees what the view's owner may see, as a view of the same owner does.
    execute 'create view testdb.refreshed as ' || q;
    execute pg_catalog.format('alter view testdb.refreshed owner to %s', (select relowner::regrole from pg_catalog.pg_class where oid = view));
    q := 'select * from testdb.refreshed';
  end if;
  execute pg_catalog.format('select not exists ((select (x.*)::text from %1$s x except all select (v.*)::text from (%2$s) v) union all
    (select (v.*)::text from (%2$s) v except all select (x.*)::text from %1$s x))', view::regclass, q) into same;
  if q ~ 'testdb.refreshed$' then
    drop view testdb.refreshed;
  end if;
  return same;
exception when division_by_zero or data_exception or insufficient_privilege then
  -- A refresh would fail in the same way.
  return false;
end $fresh$;

-- Copies the rows of a materialized view that a refresh would not give again; tells where they are.
create function testdb.copy_of_view(view oid, at_level int) returns text language plpgsql as $copy_of_view$
declare
  copy text := pg_catalog.format('testdb.view_%s_%s', view, at_level);
begin
  if testdb.is_fresh(view) then
    return null;
  end if;
  execute pg_catalog.format('create %s table %s as table %s', case when at_level > 0 then 'unlogged' else '' end, copy, testdb.name_of(view));
  return copy;
end $copy_of_view$;

create function testdb.track(rel regclass) returns void language plpgsql as $track$
begin
  execute format('create trigger testdb_mark before insert or update or delete or truncate on %s for each statement execute function testdb.mark()', rel);
  -- Also while a test, or a tool, has set session_replication_role.
  execute format('alter table %s enable always trigger testdb_mark', rel);
end $track$;

-- Sequences that are not as remembered. Before 18 the last value of a sequence that was never used is null, whatever setval() has
-- given it, so each of those counts: to set it costs less than to look.
do $moved$
begin
  execute 'create function testdb.moved_sequences() returns setof testdb.sequences language sql as '
    || case when current_setting('server_version_num')::int >= 180000
      then quote_literal('select s.* from testdb.sequences s, pg_catalog.pg_get_sequence_data(s.seq) d where s.last <> d.last_value or s.called <> d.is_called')
      else quote_literal('select * from testdb.sequences where not called or last is distinct from pg_catalog.pg_sequence_last_value(seq)') end;
end $moved$;

create type testdb.sequence_state as (last bigint, called bool);
create function testdb.state_of(seq oid) returns testdb.sequence_state language plpgsql as $state$
declare
  result testdb.sequence_state;
begin
  execute format('select last_value, is_called from %s', testdb.name_of(seq)) into result;
  return result;
end $state$;

-- Remembers the sequences that are not remembered yet.
create function testdb.remember_sequences() returns void language plpgsql as $sequences$
declare
  r record;
begin
  for r in
    select s.seqrelid, s.seqcache, s::text as definition, (select d.refobjid from pg_depend d where d.classid = 'pg_class'::regclass
        and d.objid = s.seqrelid and d.deptype in ('a', 'i') and d.refclassid = 'pg_class'::regclass limit 1) as owner
      from pg_sequence s join pg_class c on c.oid = s.seqrelid
     where c.relpersistence <> 't' and not exists (select from testdb.sequences k where k.seq = s.seqrelid)
  loop
    execute format('insert into testdb.sequences select %s, last_value, is_called, %s, %L::oid, %L from %s',
      r.seqrelid, r.seqcache, r.owner, r.definition, testdb.name_of(r.seqrelid));
  end loop;
end $sequences$;

create function testdb.install_tracker() returns void language plpgsql
  set testdb.busy = on set search_path = pg_catalog set row_security = off as $install$
declare
  r record;
begin
  for r in
    select c.oid, c.relkind from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p') and c.relpersistence <> 't' and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'testdb')
     order by 1
  loop
    perform testdb.track(r.oid);
    if r.relkind = 'r' then
      perform testdb.remember(r.oid, 0);
    end if;
  end loop;
  insert into testdb.views select oid, relispopulated, testdb.copy_of_view(oid, 0) from pg_class where relkind = 'm';
  perform testdb.remember_sequences();
  insert into testdb.state values (0, testdb.large_objects());
  insert into testdb.known
    select tableoid, oid from pg_class union all select tableoid, oid from pg_constraint union all select tableoid, oid from pg_type
    union all select tableoid, oid from pg_trigger union all select tableoid, oid from pg_proc union all select tableoid, oid from pg_rewrite
    union all select tableoid, oid from pg_attrdef union all select tableoid, oid from pg_policy union all select tableoid, oid from pg_namespace
    union all select tableoid, oid from pg_statistic_ext union all select tableoid, oid from pg_extension union all select tableoid, oid from pg_operator
    union all select tableoid, oid from pg_collation union all select tableoid, oid from pg_cast union all select tableoid, oid from pg_publication
    union all select tableoid, oid from pg_event_trigger union all select tableoid, oid from pg_foreign_server
    union all select tableoid, oid from pg_foreign_data_wrapper union all select tableoid, oid from pg_ts_config union all select tableoid, oid from pg_ts_dict
    union all select tableoid, oid from pg_opclass union all select tableoid, oid from pg_opfamily union all select tableoid, oid from pg_conversion
    union all select tableoid, oid from pg_language;
  analyze testdb.known;
  create event trigger testdb_ddl on ddl_command_end execute function testdb.note_ddl();
  create event trigger testdb_drop on sql_drop execute function testdb.note_ddl();
  alter event trigger testdb_ddl enable always;
  alter event trigger testdb_drop enable always;
end $install$;
`

// After DDL the notes are there; comparing the whole catalog, as other strategies do, would cost milliseconds per file.
export const CATALOG_BY_NOTES = `
create or replace function testdb.read_catalog() returns text language sql as $catalog$ select count(*)::text from testdb.ddl $catalog$;
`
