/** Checkpoints: further states above the template's, each of which a reset can return to. */
import { SETTINGS } from './reset-sql.ts'

export const CHECKPOINTS = `
-- Remembers the present state as a level above the others; gives its number, or null when nothing has changed since the last.
-- Only written tables are copied.
create function testdb.push_checkpoint() returns int language plpgsql security definer ${SETTINGS} as $push$
declare
  at_level int;
  rels oid[];
  made bool := exists (select from testdb.ddl);
  r record;
  q testdb.sequence_state;
begin
  lock table testdb.dirty, testdb.ddl in share row exclusive mode;
  if (select large_objects from testdb.state) <> testdb.large_objects() then
    raise exception 'large objects were changed';
  end if;
  if not exists (select from testdb.dirty) and not exists (select from testdb.ddl) and not exists (
    select from testdb.moved_sequences() s where testdb.state_of(s.seq) <> (s.last, s.called)) then
    return null;
  end if;
  update testdb.state set level = level + 1 returning level into at_level;
  -- Rows that are remembered as texts would go through a new cast.
  if exists (select from testdb.ddl where classid = 'pg_catalog.pg_cast'::regclass) then
    insert into testdb.dirty select rel, false from testdb.tables;
  end if;
  select d.rels into rels from testdb.take_dirty() d;
  insert into testdb.tables_below select at_level, t.* from testdb.tables t where rel = any (rels);
  for r in delete from testdb.tables where rel = any (rels) returning rel, remove_keyed loop
    perform testdb.remember(r.rel, at_level);
    if r.remove_keyed is not null then
      execute 'delete from testdb.keys_' || r.rel;
    end if;
  end loop;
  perform testdb.adopt_created(at_level);
  for r in select * from testdb.moved_sequences() loop
    insert into testdb.sequences_below values (at_level, r.seq, r.last, r.called);
    q := testdb.state_of(r.seq);
    update testdb.sequences set last = q.last, called = q.called where seq = r.seq;
  end loop;
  insert into testdb.views_below select at_level, v.* from testdb.views v;
  -- A copy of the level below is as good where nobody refreshed the view.
  update testdb.views v set populated = c.relispopulated, touched = v.rel = any (rels),
      copy = case when v.rel = any (rels) or v.copy is null and (made or rels <> '{}') then testdb.copy_of_view(v.rel, at_level) else v.copy end
    from pg_catalog.pg_class c where c.oid = v.rel;
  return at_level;
end $push$;

-- What was made since the last level belongs to this one. Throws when something known was changed: a level can not undo that.
create function testdb.adopt_created(at_level int) returns void language plpgsql as $adopt$
declare
  changed text;
  r record;
begin
  if not exists (select from testdb.ddl) then
    return;
  end if;
  select string_agg(distinct concat_ws(' ', d.tag, d.identity), ', ') into changed from testdb.ddl d
   where d.objid is null or exists (select from testdb.known k where k.classid = d.classid and k.objid = d.objid);
  if changed is not null then
    raise exception 'the schema was changed: %', changed using errcode = 'object_not_in_prerequisite_state';
  end if;
  insert into testdb.known_above select at_level, tag, identity, classid, objid from testdb.ddl where not dropped;
  insert into testdb.known select distinct classid, objid from testdb.ddl d where not dropped
    and (select identity from pg_catalog.pg_identify_object(d.classid, d.objid, 0)) is not null on conflict do nothing;
  for r in
    select c.oid, c.relkind from (select distinct objid from testdb.ddl where classid = 'pg_catalog.pg_class'::regclass and not dropped) d
      join pg_catalog.pg_class c on c.oid = d.objid where c.relkind in ('r', 'p', 'm') and c.relpersistence <> 't' order by 1
  loop
    if r.relkind = 'm' then
      insert into testdb.views select oid, relispopulated from pg_catalog.pg_class where oid = r.oid;
    else
      perform testdb.track(r.oid);
      if r.relkind = 'r' then
        perform testdb.remember(r.oid, at_level);
      end if;
    end if;
  end loop;
  perform testdb.remember_sequences();
  delete from testdb.ddl;
end $adopt$;

-- Forgets all levels above "wanted". What they hid is dirty now, so a reset must follow.
create function testdb.pop_checkpoints(wanted int) returns void language plpgsql security definer ${SETTINGS} as $pop$
declare
  at_level int := (select level from testdb.state);
  popped oid[] := '{}';
  r record;
begin
  if at_level <= wanted then
    return;
  end if;
  lock table testdb.dirty, testdb.ddl in share row exclusive mode;
  for at_level in reverse at_level .. wanted + 1 loop
    -- Objects that this level has made: the reset drops them.
    with made as (delete from testdb.known_above where level = at_level returning *), unknown as (
      delete from testdb.known k using made m where k.classid = m.classid and k.objid = m.objid
    ) insert into testdb.ddl select tag, identity, classid, objid, false, false from made;
    delete from testdb.lines where level = at_level;
    delete from testdb.writers where level = at_level;
    for r in delete from testdb.tables where level = at_level returning rel, level loop
      execute format('drop table if exists testdb.rows_%s_%s', r.rel, r.level);
      insert into testdb.dirty values (r.rel, true);
      popped := array_append(popped, r.rel);
    end loop;
    with below as (delete from testdb.tables_below where at = at_level returning *)
      insert into testdb.tables select rel, level, copy, key_columns, remove, restore, remove_keyed, restore_keyed, pages from below;
    with below as (delete from testdb.sequences_below where at = at_level returning *)
      update testdb.sequences s set last = b.last, called = b.called from below b where b.seq = s.seq;
    insert into testdb.dirty select rel, true from testdb.views where touched;
    for r in select copy from testdb.views where copy = format('testdb.view_%s_%s', rel, at_level) loop
      execute 'drop table ' || r.copy;
    end loop;
    with below as (delete from testdb.views_below where at = at_level returning *)
      update testdb.views v set populated = b.populated, copy = b.copy, touched = b.touched from below b where b.rel = v.rel;
  end loop;
  -- Tables that were not large enough below to have their keys noted.
  for r in select distinct rel from unnest(popped) rel where to_regclass('testdb.keys_' || rel) is not null
    and not exists (select from testdb.tables t where t.rel = rel.rel and t.remove_keyed is not null)
  loop
    execute format('drop function testdb.note_keys_%1$s() cascade; drop table testdb.keys_%1$s', r.rel);
  end loop;
  delete from testdb.views v where not exists (select from testdb.known k where k.objid = v.rel and k.classid = 'pg_catalog.pg_class'::regclass);
  delete from testdb.sequences s where not exists (select from testdb.known k where k.objid = s.seq and k.classid = 'pg_catalog.pg_class'::regclass);
  update testdb.state set level = wanted;
end $pop$;
`
