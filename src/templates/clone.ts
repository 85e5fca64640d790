/** Clones a sealed template. A clone has the template's content but loses its settings, grants and limit: they are given again. */
import { publish } from '../events.ts'
import { createDatabase, type Session } from '../postgres/index.ts'

export interface CloneOptions {
  readonly template: string
  readonly name: string
  readonly owner: string
  /** Sessions at most for everybody who is no superuser; superusers pass the limit but count in it. */
  readonly connectionLimit: number
}

/**
 * Creates the database. Throws 55006 when somebody is connected to the template, 3D000 when it was pruned.
 * If the process dies here the database may be there all the same; its name was registered before (see the allocator).
 */
export async function cloneTemplate(session: Session, options: CloneOptions): Promise<void> {
  const startedAt = performance.now()
  const { template, name, owner } = options
  await createDatabase(session, name, { template, owner, extra: `connection limit ${options.connectionLimit}` })
  await copySettings(session, template, name)
  publish('database.created', { database: name, durationMs: performance.now() - startedAt })
}

/**
 * Statements that give database $2 the grants and settings of database $1, in order.
 *
 * A setting whose value is a list of names can't be written as one literal; its row has a name, and that value must be
 * set first (the list is pg_dump's). The others must not be set here: a role or a time limit would bind what follows.
 */
const SETTINGS_SQL = `
select 0 as place, format('revoke all on database %I from public', $2::text) as statement, null as name, null as value
  from pg_database where datname = $1 and datacl is not null
union all
select 1, format('grant %s on database %I to %s%s', privilege_type, $2::text,
         case when grantee = 0 then 'public' else grantee::regrole::text end,
         case when is_grantable then ' with grant option' else '' end), null, null
  from pg_database, aclexplode(datacl) where datname = $1
union all
select 2, case when setrole = 0 then format('alter database %I set %I', $2::text, name)
           else format('alter role %s in database %I set %I', setrole::regrole, $2::text, name) end
          || case when is_list then ' from current' else format(' to %L', value) end,
       case when is_list then name end, case when is_list then value end
  from (select setrole, split_part(setting, '=', 1) as name, substr(setting, strpos(setting, '=') + 1) as value,
               lower(split_part(setting, '=', 1)) in ('search_path', 'temp_tablespaces', 'session_preload_libraries',
                 'local_preload_libraries', 'shared_preload_libraries', 'unix_socket_directories') as is_list
          from pg_db_role_setting join pg_database d on d.oid = setdatabase, unnest(setconfig) as setting
         where datname = $1) as settings
order by place`

async function copySettings(session: Session, from: string, to: string): Promise<void> {
  const { rows } = await session.query<{ statement: string; name: string | null; value: string | null }>(SETTINGS_SQL, [
    from,
    to,
  ])
  if (rows.length === 0) return
  await session.transaction(async () => {
    for (const row of rows) {
      if (row.name !== null) await session.query('select set_config($1, $2, true)', [row.name, row.value])
      await session.query(row.statement)
    }
  })
}
