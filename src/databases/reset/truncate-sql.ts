/** The SQL of `truncate`: what the template carries for it, and the function that resets. */
import { ONE_DATABASE, type Reach } from './reach.ts'

/** `install` fills the tables below once, after migrations and seeds; parameter 1: the bookkeeping tables as JSON. */
export const installCopies = ({ home }: Reach): string => `select ${home}.install_copies($1::jsonb)`

/** Somebody has written in this database and not committed. */
const WRITES_HERE = `select from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and backend_xid is not null`

/** Others write to the rest of the database all the time; who has written to these tables holds a lock of that kind. */
const writesTo = (covers: string): string => `select from pg_locks l join pg_class c on c.oid = l.relation
      join pg_namespace n on n.oid = c.relnamespace
    where l.locktype = 'relation' and l.pid <> pg_backend_pid() and l.mode not in ('AccessShareLock', 'RowShareLock') and ${covers}`

/** Instead of CASCADE, which would empty tables of other people that refer to ours. */
const referring = (covers: string): string => `with recursive reached as (
      select w from unnest(written) w
      union
      select k.conrelid from reached join pg_constraint k on k.contype = 'f' and k.confrelid = w
        join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace where ${covers} and c.relkind in ('r', 'p')
    ) select array_agg(w) into written from reached;
    `

/** A role that may not switch the checks off fills tables that refer to each other in one transaction, and has them checked at its end. */
const deferCycles = (home: string): string => `
  for r in
    with recursive edges as (
      select oid, conname, conrelid, confrelid, condeferrable from pg_constraint
       where contype = 'f' and conparentid = 0 and conrelid <> confrelid
         and conrelid in (select rel from ${home}.copies) and confrelid in (select rel from ${home}.copies)
    ), reached as (
      select oid, conrelid as origin, confrelid as place from edges
      union select d.oid, d.origin, e.confrelid from reached d join edges e on e.conrelid = d.place
    ) select e.conrelid::regclass as rel, e.conname from edges e
       where not e.condeferrable and exists (select from reached d where d.oid = e.oid and d.place = d.origin)
  loop
    execute format('alter table %s alter constraint %I deferrable', r.rel, r.conname);
  end loop;`

export const truncateFunctions = ({ home, covers, alone }: Reach): string => `
-- Seeded tables: how to fill them again, and how to tell that nobody changed them. "place" puts referenced tables before
-- those that refer to them; "amount" rows, none of them younger than transaction "filled", are the seeds.
create table ${home}.copies (rel oid primary key, place int not null, refill text not null, amount bigint not null, filled xid not null);
-- Tables that are never emptied: the migrators' own and those of extensions.
create table ${home}.kept (rel oid primary key);
create table ${home}.sequences (seq oid primary key, last bigint not null, called bool not null, owner oid);
-- "fresh": a refresh gives the same rows again. "digest": of its rows, where REFRESH … CONCURRENTLY can change them in place.
create table ${home}.views (rel oid primary key, filenode oid not null, populated bool not null, fresh bool not null, digest text);
-- How to enable triggers again; empty between resets.
create table ${home}.silenced (statement text not null);

-- A text that changes with the rows of a query, in whatever order they come.
create function ${home}.digest(query text) returns text language plpgsql as $digest$
declare
  result text;
begin
  execute format('select count(*) || '':'' || coalesce(sum(hashtextextended((t.*)::text, 0)::numeric), 0) from (%s) t', query) into result;
  return result;
end $digest$;

-- The search path makes every name below a qualified one. Row security would make a copy a part of its table.
create function ${home}.install_copies(bookkeeping jsonb) returns void language plpgsql
  set search_path = pg_catalog set row_security = off as $install$
declare
  r record;
  seeded bool;
  columns text;
  rows bigint;
  content text;
  again text;
begin
  insert into ${home}.kept
    select c.oid from jsonb_to_recordset(bookkeeping) as b(schema text, "table" text)
      join pg_class c on c.relname = b."table" join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = coalesce(b.schema, n.nspname)
    union
    select objid from pg_depend where classid = 'pg_class'::regclass and deptype = 'e';

  for r in
    with recursive tables as (
      select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where c.relkind = 'r' and c.relpersistence <> 't' and ${covers} and c.oid not in (select rel from ${home}.kept)
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
    execute format('create table ${home}.%I as select %s from only %s', 'copy_' || r.oid, coalesce(columns, ''), r.oid::regclass);
    get diagnostics rows = row_count;
    insert into ${home}.copies values (r.oid, r.place, case when columns is null
      then format('insert into %s select from ${home}.%I', r.oid::regclass, 'copy_' || r.oid)
      else format('insert into %s (%s) overriding system value select %s from ${home}.%I', r.oid::regclass, columns, columns, 'copy_' || r.oid) end,
      rows, pg_current_xact_id()::xid);
  end loop;

  for r in
    select s.seqrelid as seq, (select d.refobjid from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = s.seqrelid
        and d.deptype in ('a', 'i') and d.refclassid = 'pg_class'::regclass limit 1) as owner
      from pg_sequence s join pg_class c on c.oid = s.seqrelid join pg_namespace n on n.oid = c.relnamespace
     where c.relpersistence <> 't'${alone ? '' : ` and ${covers}`}
  loop
    execute format('insert into ${home}.sequences select %s, last_value, is_called, %L::oid from %s', r.seq, r.owner, r.seq::regclass);
  end loop;

  for r in
    select c.oid, c.relfilenode, c.relispopulated, pg_get_viewdef(c.oid) as query from pg_class c
      join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'm'${alone ? '' : ` and ${covers}`}
  loop
    content := null;
    again := null;
    if r.relispopulated then
      content := ${home}.digest('select * from ' || r.oid::regclass);
      begin
        again := ${home}.digest(rtrim(r.query, '; '));
      exception when others then
        -- Its functions need another search path; a refresh gives them one.
        again := content;
      end;
    end if;
    insert into ${home}.views values (r.oid, r.relfilenode, r.relispopulated, content is not distinct from again,
      case when exists (select from pg_index where indrelid = r.oid and indisunique) then content end);
  end loop;
${alone ? '' : deferCycles(home)}
end $install$;

-- Triggers that also fire for a replica, or all of them where this role may not act as one, would write rows of their own.
create function ${home}.silence_triggers() returns void language plpgsql as $silence$
declare
  r record;
begin
  for r in
    select t.tgrelid::regclass as rel, t.tgname, case t.tgenabled when 'A' then 'always ' when 'R' then 'replica ' else '' end as mode
      from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
     where not t.tgisinternal and c.relkind in ('r', 'p') and ${alone ? `n.nspname !~ '^pg_'` : covers}
       and t.tgenabled::text = any (case current_setting('session_replication_role') when 'replica' then array['A', 'R'] else array['A', 'O'] end)
  loop
    insert into ${home}.silenced values (format('alter table only %s enable %strigger %I', r.rel, r.mode, r.tgname));
    execute format('alter table only %s disable trigger %I', r.rel, r.tgname);
  end loop;
end $silence$;

create function ${home}.restore_triggers() returns void language plpgsql as $restore$
declare
  r record;
begin
  for r in delete from ${home}.silenced returning statement loop
    execute r.statement;
  end loop;
end $restore$;

-- Tells whether a seeded table has its seeds and nothing else: each row is as old as they are, and none is missing.
create function ${home}.is_as_seeded(copy ${home}.copies) returns bool language plpgsql as $seeded$
declare
  same bool;
begin
  execute format('select count(*) = $1 and coalesce(bool_and(age(xmin) >= age($2)), true) from only %s', copy.rel::regclass)
    into same using copy.amount, copy.filled;
  return same;
end $seeded$;

create function ${home}.truncate() returns void language plpgsql set lock_timeout = '1s' set row_security = off as $truncate$
declare
  written oid[];
  keeping oid[];
  -- Rows that somebody has written but not committed can not be seen. TRUNCATE waits for their locks, so it gets every table.
  writing bool := exists (${alone ? WRITES_HERE : writesTo(covers)});
  r record;
begin
  if exists (select rel from ${home}.copies union all select rel from ${home}.views except all select oid from pg_class) then
    raise exception 'a table that has seeds, or a materialized view, was dropped';
  end if;

  select array_agg(c.oid) into written
    from pg_class c join pg_namespace n on n.oid = c.relnamespace left join ${home}.copies s on s.rel = c.oid
   where c.relkind = 'r' and c.relpersistence <> 't' and ${covers}
     and (pg_relation_size(c.oid) > 0 or s.rel is not null) and not exists (select from ${home}.kept k where k.rel = c.oid)
     -- Emptying unchanged seeds would empty all that refers to them too, table by table.
     and (s.rel is null or writing or not ${home}.is_as_seeded(s));

  if written is not null then
    perform ${home}.silence_triggers();
    select array_agg(rel) into keeping from ${home}.kept where pg_relation_size(rel) > 0;
    ${alone ? '' : referring(covers)}execute (select 'truncate ' || string_agg(w::regclass::text, ', ') || ' restart identity${alone ? ' cascade' : ''}' from unnest(written) w);
    if exists (select from unnest(keeping) as k(rel) where pg_relation_size(rel) = 0) then
      raise exception 'a table that must be kept refers to one that must be emptied';
    end if;
    ${alone ? '' : 'set constraints all deferred;'}
    -- The cascade may have emptied seeded tables that were not in the list: refill by what is empty now.
    for r in select refill, rel from ${home}.copies order by place loop
      if pg_relation_size(r.rel) = 0 then
        execute r.refill;
        update ${home}.copies set filled = pg_current_xact_id()::xid where rel = r.rel;
      end if;
    end loop;
    perform ${home}.restore_triggers();
  end if;

  -- Of a sequence that was never used only its own row tells the next value; to set it costs less than to look.
  for r in select * from ${home}.sequences s where not called or last is distinct from pg_sequence_last_value(seq) loop
    perform setval(r.seq, r.last, r.called);
  end loop;

  for r in select v.rel, v.populated, v.fresh from ${home}.views v join pg_class c on c.oid = v.rel
     where case when c.relispopulated <> v.populated then true
           -- REFRESH … CONCURRENTLY changes rows in place and needs a unique index.
           when v.digest is not null then v.digest <> ${home}.digest('select * from ' || v.rel::regclass)
           else c.relfilenode <> v.filenode end
     order by v.rel
  loop
    if not r.fresh then
      raise exception 'the materialized view % was refreshed; the rows it has in the template are older', r.rel::regclass;
    end if;
    execute format('refresh materialized view %s %s', r.rel::regclass, case when r.populated then '' else 'with no data' end);
    update ${home}.views v set filenode = c.relfilenode from pg_class c where c.oid = v.rel and v.rel = r.rel;
  end loop;
end $truncate$;
`

/** What the template of a whole database carries. */
export const TRUNCATE_FUNCTION = truncateFunctions(ONE_DATABASE)
