/** What a test has changed, for the report of its failure. */

export const CHANGES = `
-- One row for each written table: rows added, removed and changed against the last checkpoint, and up to "cap" of each as JSON.
create function testdb.changes(cap int) returns table ("table" text, added bigint, removed bigint, changed bigint, rows jsonb)
  language plpgsql security definer set row_security = off as $changes$
declare
  r record;
  name text;
  columns text;
  remembered text[];
  same_key text;
  before text;
begin
  for r in
    with recursive tree as (select rel from testdb.dirty union select i.inhrelid from tree join pg_catalog.pg_inherits i on i.inhparent = tree.rel)
    select t.* from testdb.tables t join tree using (rel) join pg_catalog.pg_class c on c.oid = t.rel order by testdb.name_of(t.rel)
  loop
    name := testdb.name_of(r.rel);
    -- Only of the columns that both have: the test may have added some. What is remembered has a row at least.
    if r.copy is not null then
      execute format('select array(select jsonb_object_keys(to_jsonb(b.*))) from %s b limit 1', r.copy) into remembered;
    end if;
    select string_agg(quote_ident(attname), ', ' order by attnum) into columns from pg_catalog.pg_attribute
     where attrelid = r.rel and attnum > 0 and not attisdropped and attgenerated = '' and (r.copy is null or attname = any (remembered));
    select coalesce(string_agg(format('x.line -> %1$L = y.line -> %1$L', k), ' and '), 'false') into same_key
      from unnest(r.key_columns) k;
    before := case when r.copy is null then format('select %s from only %s where false', coalesce(columns, ''), name)
      else format('select %s from %s b', coalesce(columns, ''), r.copy) end;
    return query execute format($query$
      with now as (select to_jsonb(t.*) as line from (select %1$s from only %2$s) t), before as (select to_jsonb(t.*) as line from (%3$s) t),
        added as (select line from now except all select line from before), removed as (select line from before except all select line from now),
        changed as (select y.line as before, x.line as now from added x join removed y on %4$s),
        new as (select line from added x where not exists (select from removed y where %4$s)),
        gone as (select line from removed y where not exists (select from added x where %4$s))
      select %5$L, (select count(*) from new), (select count(*) from gone), (select count(*) from changed), jsonb_build_object(
        'added', (select coalesce(jsonb_agg(line), '[]') from (select line from new limit $1) l),
        'removed', (select coalesce(jsonb_agg(line), '[]') from (select line from gone limit $1) l),
        'changed', (select coalesce(jsonb_agg(jsonb_build_object('before', before, 'now', now)), '[]') from (select * from changed limit $1) l))
      $query$, coalesce(columns, ''), name, before, same_key, name) using cap;
  end loop;
end $changes$;
`
