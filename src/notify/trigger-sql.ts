/** The trigger and its function as SQL, and the one transaction that makes them. */
import { createHash } from 'node:crypto'
import { ident, isSqlState, literal, qualified, slug, sqlLockKey } from '../postgres/index.ts'
import type { TriggerSettings } from './options.ts'

/** Asks one statement and gives its rows. */
export type Ask = (sql: string) => Promise<readonly Record<string, unknown>[]>

/** A longer payload is an error of the statement that writes the row. */
const PAYLOAD_BYTES = 7_999
/** How long DDL waits for those who work on the table (ms): who waits for a lock lets nobody behind it pass. */
const LOCK_MS = 3_000

interface Table {
  readonly oid: number
  readonly schema: string
  readonly primaryKey: readonly string[]
  readonly columns: readonly string[]
}

/** Makes the trigger, or finds it as it should be and changes nothing. Throws what the server says, and why it can not be. */
export async function install(ask: Ask, settings: TriggerSettings): Promise<void> {
  const table = await findTable(ask, settings)
  const plan = planOf(settings, table)
  if (await isThere(ask, table, plan)) return
  await ask('begin')
  try {
    await ask(`set local lock_timeout = ${LOCK_MS}`)
    // Processes that start together would replace each other's at the same moment, which is an error of the catalog.
    await ask(
      `select pg_advisory_xact_lock(${sqlLockKey(`testdb notify ${table.schema}.${settings.table}`).arguments})`,
    )
    if (!(await isThere(ask, table, plan))) for (const sql of plan.ddl) await ask(sql)
    await ask('commit')
  } catch (error) {
    await ask('rollback').catch(() => undefined)
    throw error
  }
}

interface Plan {
  readonly name: string
  readonly body: string
  readonly mark: string
  readonly ddl: readonly string[]
}

async function findTable(ask: Ask, { table, schema }: TriggerSettings): Promise<Table> {
  const name = schema === undefined ? ident(table) : qualified(schema, table)
  try {
    const [found] = await ask(
      `select c.oid::int8::float8 as oid, n.nspname as schema,
              array(select a.attname::text from pg_index i cross join unnest(i.indkey) with ordinality k(attnum, place)
                      join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
                     where i.indrelid = c.oid and i.indisprimary order by k.place) as "primaryKey",
              array(select a.attname::text from pg_attribute a
                     where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum) as columns
         from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = ${literal(name)}::regclass`,
    )
    return found as unknown as Table
  } catch (cause) {
    if (!isSqlState(cause, 'undefinedTable', 'undefinedSchema')) throw cause
    throw new Error(`there is no table ${name}`, { cause })
  }
}

async function isThere(ask: Ask, { oid }: Table, { name, body, mark }: Plan): Promise<boolean> {
  const rows = await ask(
    `select from pg_trigger t join pg_proc p on p.oid = t.tgfoid
      where t.tgrelid = ${oid} and t.tgname = ${literal(name)} and t.tgenabled <> 'D' and p.prosrc = ${literal(body)}
        and obj_description(t.oid, 'pg_trigger') = ${literal(mark)}`,
  )
  return rows.length > 0
}

function planOf(settings: TriggerSettings, { schema, primaryKey, columns }: Table): Plan {
  const { table, channel, events, payload } = settings
  const key = settings.key ?? primaryKey
  if (payload === 'key' && key.length === 0) {
    throw new Error(`the table ${qualified(schema, table)} has no primary key: give \`key\`, or \`payload: 'none'\``)
  }
  // Their values would be null in each payload, and nobody would be told.
  const unknown = key.filter((column) => !columns.includes(column))
  if (payload !== 'none' && unknown.length > 0) {
    throw new Error(
      `the table ${qualified(schema, table)} has no column ${unknown.join(', ')} for \`key\`; it has ${columns.join(', ')}`,
    )
  }
  // One for each table and channel; the table's name is in it because a function's name is its schema's.
  const name = `notify_${slug(channel, 16)}_${digest(`${table} ${channel}`)}`
  const body = payload === 'none' ? statementBody(channel) : rowBody(channel, key, payload === 'row')
  const forEach = payload === 'none' ? 'statement' : 'row'
  const target = qualified(schema, table)
  const trigger = `create or replace trigger ${ident(name)} after ${events.join(' or ')} on ${target}
 for each ${forEach} execute function ${qualified(schema, name)}()`
  const mark = `testdb/notify ${digest(trigger)}`
  return {
    ...{ name, body, mark },
    ddl: [
      `create or replace function ${qualified(schema, name)}() returns trigger language plpgsql set search_path = pg_catalog as ${literal(body)}`,
      trigger,
      `comment on trigger ${ident(name)} on ${target} is ${literal(mark)}`,
    ],
  }
}

const digest = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 10)

const statementBody = (channel: string): string => `
begin
  perform pg_notify(${literal(channel)}, '');
  return null;
end `

/** What does not fit is left out, first the row and then the key, and it says so: an error would undo the user's own statement. */
function rowBody(channel: string, key: readonly string[], whole: boolean): string {
  const columns = key.map((column) => `${literal(column)}, changed->${literal(column)}`).join(', ')
  const parts = `'op', lower(tg_op), 'key', jsonb_build_object(${columns})`
  return `
declare
  changed jsonb := case tg_op when 'DELETE' then to_jsonb(old) else to_jsonb(new) end;
  message text := jsonb_build_object(${parts}${whole ? `, 'row', changed` : ''})::text;
begin
  if octet_length(message) > ${PAYLOAD_BYTES} then
    message := jsonb_build_object(${parts}, 'truncated', true)::text;
  end if;
  if octet_length(message) > ${PAYLOAD_BYTES} then
    message := jsonb_build_object('op', lower(tg_op), 'truncated', true)::text;
  end if;
  perform pg_notify(${literal(channel)}, message);
  return null;
end `
}
