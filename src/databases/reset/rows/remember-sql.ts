/** How one table is remembered, and the statements that put it back. */

/**
 * Up to this many rows a table that has lost or changed one of them is emptied and filled again: that keeps the order of its rows,
 * which tests without ORDER BY see (0.8 ms for 100 rows). Above it only rows that differ are touched.
 */
export const REFILL_ROWS = 100

/**
 * Above this many rows comparing costs milliseconds (9 ms for 10,000, 130 ms for 100,000), so the keys of the rows that a statement
 * touches are noted.
 */
export const KEYED_ROWS = 5_000

/** Values as text that say exactly what they are, whatever the database has as its defaults. */
export const TEXT_FORMS = `set datestyle = 'ISO, YMD' set intervalstyle = 'postgres' set timezone = 'UTC' set extra_float_digits = 1 set bytea_output = 'hex' set xmloption = 'content'`

export const REMEMBER = `
-- The table's name, qualified whatever the search path is.
create function testdb.name_of(rel oid) returns text language sql stable as $name$
  select pg_catalog.format('%I.%I', n.nspname, c.relname) from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = rel
$name$;

-- Tells whether "::" of a text calls a function that may do anything, or one that does not take all that the type's output gives.
create function testdb.is_cast_from_text(type_id oid) returns bool language sql stable set search_path = pg_catalog as $casts$
  with recursive base as (select oid, typbasetype from pg_type where oid = type_id
    union all select t.oid, t.typbasetype from base b join pg_type t on t.oid = b.typbasetype)
  select exists (select from base b join pg_cast c on c.casttarget = b.oid
    where c.castsource = 'text'::regtype and (c.oid >= 16384 or c.casttarget = 'regclass'::regtype))
$casts$;

-- From now on the present content of a table is what a reset at this level puts back.
create function testdb.remember(table_id oid, at_level int) returns void language plpgsql set search_path = pg_catalog ${TEXT_FORMS} as $remember$
declare
  t text := testdb.name_of(table_id);
  own_copy text := pg_catalog.format('testdb.rows_%s_%s', table_id, at_level);
  copy text;
  columns text; as_texts text; of_line text; of_copy text; of_table text; key_names text[]; key_columns text; same_key text; of_key text;
  amount bigint := 0;
  seeded bool; plain bool; casts bool;
  remove text := 'delete from only ' || t; restore text; remove_keyed text; restore_keyed text;
  silence text; unsilence text;
begin
  select string_agg(quote_ident(attname), ', ' order by attnum), string_agg('b.' || quote_ident(attname), ', ' order by attnum),
         string_agg('t.' || quote_ident(attname), ', ' order by attnum),
         -- By the type's own output and input. Not where a cast would be taken instead, which need not be exact.
         string_agg(format('case when t.%1$I is not null then format(''%%s'', t.%1$I) end', attname), ', ' order by attnum),
         string_agg(format('l.line[%s]::%s as %I', place, format_type(atttypid, atttypmod), attname), ', ' order by attnum),
         coalesce(bool_or(testdb.is_cast_from_text(atttypid)), false)
    into columns, of_copy, of_table, as_texts, of_line, casts
    from (select *, row_number() over (order by attnum) as place from pg_attribute
           where attrelid = table_id and attnum > 0 and not attisdropped and attgenerated = '') a;
  select array_agg(attname::text), string_agg(quote_ident(attname), ', '), string_agg(format('b.%1$I = t.%1$I', attname), ' and '), string_agg(format('k.%1$I = t.%1$I', attname), ' and ')
    into key_names, key_columns, same_key, of_key
    from pg_index join pg_attribute on attrelid = indrelid and attnum = any (indkey[0:indnkeyatts - 1])
   where indrelid = table_id and indisprimary and indimmediate and indisvalid;

  -- No more than are needed to know that it is not small.
  execute format('select count(*) from (select from only %s limit ${REFILL_ROWS + 1}) few', t) into amount;
  seeded := amount > 0;
  if seeded then
    if amount <= ${REFILL_ROWS} and columns is not null and not casts then
      execute format('insert into testdb.lines select $1, $2, row_number() over (), array[%s] from only %s t', as_texts, t) using table_id, at_level;
      copy := format('(select %s from testdb.lines l where rel = %s and level = %s order by l.place)', of_line, table_id, at_level);
    else
      copy := own_copy;
      -- A checkpoint's copy need not outlive a crash of the server: its suite does not either.
      execute format('create %s table %s as select %s from only %s', case when at_level > 0 then 'unlogged' else '' end, own_copy, coalesce(columns, ''), t);
      get diagnostics amount = row_count;
    end if;
    if columns is null then
      restore := format('insert into %s select from %s', t, copy);
    elsif key_columns is null or amount <= ${REFILL_ROWS} then
      restore := format('insert into %s (%s) overriding system value select %s from %s b', t, columns, of_copy, copy);
    else
      -- Whole rows are compared as stored: not every type has an operator "=", and not every "=" is exact.
      remove := format('delete from only %s t where not exists (select from %s b where %s and row(%s)::record operator(pg_catalog.*=) row(%s)::record)',
        t, copy, same_key, of_copy, of_table);
      restore := format('insert into %s (%s) overriding system value select %s from %s b where not exists (select from only %s t where %s)',
        t, columns, of_copy, copy, t, same_key);
      if at_level = 0 or amount > ${KEYED_ROWS} then
        begin
          execute format('analyze %s', copy);
          execute format('analyze %s', t);
        exception when others then
          -- A function in an index may need another search path; without statistics the same is done, only slower.
          null;
        end;
      end if;
    end if;
  end if;

  -- Statements that name another table (a parent) fire no statement trigger here, so their keys would be missed.
  select c.relkind = 'r' and not c.relispartition and not exists (select from pg_inherits where inhrelid = table_id or inhparent = table_id)
    into plain from pg_class c where c.oid = table_id;
  if plain and key_columns is not null and (amount > ${KEYED_ROWS} or to_regclass('testdb.keys_' || table_id) is not null) then
    if to_regclass('testdb.keys_' || table_id) is null then
      perform testdb.track_keys(table_id, t, key_columns);
    end if;
    remove_keyed := format('delete from only %s t using (select distinct %s from testdb.keys_%s) k where %s', t, key_columns, table_id, of_key);
    if seeded then
      if amount > ${REFILL_ROWS} then
        execute format('create unique index on %s (%s)', own_copy, key_columns);
      end if;
      restore_keyed := format('insert into %s (%s) overriding system value select %s from (select distinct %s from testdb.keys_%s) k join %s t on %s',
        t, columns, of_table, key_columns, table_id, copy, of_key);
    end if;
  end if;

  -- Triggers and rules that are for a replica, too, would write rows of their own, or check what is not complete yet. Also internal
  -- ones: before Postgres 15 the triggers that partitions have from their parent are.
  select string_agg(format('alter table %s disable %s %I; ', t, kind, name), ''),
         string_agg(format('; alter table %s enable %s %s %I', t, case enabled when 'A' then 'always' else 'replica' end, kind, name), '')
    into silence, unsilence
    from (select 'trigger' as kind, tgname as name, tgenabled as enabled from pg_trigger where tgrelid = table_id and tgname !~ '^testdb_'
      union all select 'rule', rulename, ev_enabled from pg_rewrite where ev_class = table_id) own
   where enabled in ('A', 'R');
  delete from testdb.writers where rel = table_id and level = at_level;
  if seeded and amount <= ${REFILL_ROWS} and silence is null then
    execute format('insert into testdb.writers select $1, $2, $3, array(select distinct xmin::text::xid from only %s)', t)
      using table_id, at_level, amount;
  end if;
  if silence is not null then
    remove := silence || remove;
    restore := coalesce(restore, 'select 1') || unsilence;
    remove_keyed := silence || remove_keyed;
    restore_keyed := coalesce(restore_keyed, 'select 1') || unsilence;
  end if;
  insert into testdb.tables values (table_id, at_level, case when seeded then copy end, key_names, remove, restore, remove_keyed, restore_keyed,
    pg_relation_size(table_id) / 8192);
end $remember$;

-- Notes which rows of a large table are touched, by their keys.
create function testdb.track_keys(table_id oid, t text, key_columns text) returns void language plpgsql as $track_keys$
begin
  execute format('create unlogged table testdb.keys_%s with (autovacuum_enabled = off) as select %s from only %s where false', table_id, key_columns, t);
  execute format('create function testdb.note_keys_%1$s() returns trigger language plpgsql security definer as $note$
    begin
      if current_setting(''testdb.busy'', true) = ''on'' then return null; end if;
      if tg_op in (''INSERT'', ''UPDATE'') then insert into testdb.keys_%1$s select %2$s from added; end if;
      if tg_op in (''DELETE'', ''UPDATE'') then insert into testdb.keys_%1$s select %2$s from removed; end if;
      return null;
    end $note$', table_id, key_columns);
  execute format('create trigger testdb_added after insert on %s referencing new table as added for each statement execute function testdb.note_keys_%s()', t, table_id);
  execute format('create trigger testdb_removed after delete on %s referencing old table as removed for each statement execute function testdb.note_keys_%s()', t, table_id);
  execute format('create trigger testdb_changed after update on %s referencing old table as removed new table as added for each statement execute function testdb.note_keys_%s()', t, table_id);
  execute format('alter table %1$s enable always trigger testdb_added, enable always trigger testdb_removed, enable always trigger testdb_changed', t);
end $track_keys$;
`
