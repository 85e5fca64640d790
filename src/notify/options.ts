/** What `installNotifyTrigger` can be told. */
import { type CommonOptions, invalidOptions, readSettings, show } from '../pools/settings.ts'
import type { ConnectionTarget } from '../postgres/index.ts'

export type TriggerEvent = 'insert' | 'update' | 'delete'
export type TriggerPayload = 'none' | 'key' | 'row'

/** A `pg.Pool`, as far as it is needed. */
export interface TriggerPool {
  connect(): Promise<TriggerClient>
}

export interface TriggerClient {
  query(sql: string): Promise<unknown>
  on(event: 'error', listener: (error: Error) => void): unknown
  off(event: 'error', listener: (error: Error) => void): unknown
  release(error?: Error | boolean): void
}

export interface NotifyTriggerOptions extends CommonOptions {
  /** Takes a connection of this pool instead of one of its own. */
  readonly pool?: TriggerPool | undefined
  /** Name of the table as it is in the catalog: no quotes, no schema. */
  readonly table: string
  /** Its schema. @default the first of the search path that has such a table */
  readonly schema?: string | undefined
  /** Channel to notify, exactly so. @default the name of the table */
  readonly channel?: string | undefined
  /** @default ['insert'] */
  readonly on?: readonly TriggerEvent[] | undefined
  /**
   * `none`: one notification without content for each statement; `key`: one for each row, with its key; `row`: with the whole row,
   * where that fits. @default 'key'
   */
  readonly payload?: TriggerPayload | undefined
  /** Columns of the key. @default the primary key's */
  readonly key?: readonly string[] | undefined
  /** Milliseconds between two tries at most; the first pauses are shorter. @default 30_000 */
  readonly retryMs?: number | undefined
  /** Is told why it could not be installed, once for each reason in a row. @default a warning of the process */
  readonly onError?: ((error: unknown) => void) | undefined
}

export interface TriggerSettings {
  readonly source: TriggerPool | ConnectionTarget
  readonly applicationName: string
  readonly table: string
  readonly schema: string | undefined
  readonly channel: string
  readonly events: readonly TriggerEvent[]
  readonly payload: TriggerPayload
  readonly key: readonly string[] | undefined
  readonly retryMs: number
}

const NAME_BYTES = 63
const EVENTS: readonly unknown[] = ['insert', 'update', 'delete']
const PAYLOADS: readonly unknown[] = ['none', 'key', 'row']
const KNOWN = [
  'connectionString',
  'applicationName',
  'pool',
  'table',
  'schema',
  'channel',
  'on',
  'payload',
  'key',
  'retryMs',
  'onError',
]

/** @throws TESTDB_CONFIG_INVALID */
export function readTriggerOptions(options: NotifyTriggerOptions): TriggerSettings {
  const {
    table,
    schema,
    channel = table,
    on = ['insert'],
    payload = 'key',
    key,
    pool,
    retryMs = 30_000,
    onError,
  } = options
  const problems = Object.keys(options)
    .filter((name) => !KNOWN.includes(name))
    .map((name) => `${name}: unknown option; accepted: ${KNOWN.join(', ')}`)
  const check = (name: string, wanted: string, value: unknown, right: boolean): void => {
    if (!right) problems.push(`${name}: expected ${wanted}, got ${show(value)}`)
  }
  const name = `a name of 1 to ${NAME_BYTES} bytes`
  check('table', name, table, isName(table))
  if (schema !== undefined) check('schema', name, schema, isName(schema))
  if (isName(table)) check('channel', name, channel, isName(channel))
  check(
    'on',
    "a list of 'insert', 'update', 'delete'",
    on,
    isListOf(on, (one) => EVENTS.includes(one)),
  )
  check('payload', "'none', 'key' or 'row'", payload, PAYLOADS.includes(payload))
  if (key !== undefined) check('key', 'a list of columns', key, isListOf(key, isName))
  check('retryMs', 'an integer from 1 (ms)', retryMs, Number.isInteger(retryMs) && retryMs >= 1)
  if (onError !== undefined) check('onError', 'a function', onError, typeof onError === 'function')
  if (pool !== undefined) check('pool', 'a pg.Pool', pool, typeof pool?.connect === 'function')
  if (problems.length > 0) throw invalidOptions('installNotifyTrigger', problems, 'docs/notify.md')
  const { connectionString, applicationName } = options
  const common = { connectionString, ...(applicationName !== undefined && { applicationName }) }
  const settings = pool ? undefined : readSettings('installNotifyTrigger', {}, common, 'testdb notify')
  return {
    source: pool ?? (settings as { target: ConnectionTarget }).target,
    applicationName: settings?.applicationName ?? '',
    ...{ table, schema, channel, payload, key, retryMs },
    // One order, so that the same events are the same trigger.
    events: (EVENTS as readonly TriggerEvent[]).filter((one) => on.includes(one)),
  }
}

const isName = (value: unknown): value is string =>
  typeof value === 'string' && value !== '' && !value.includes('\0') && Buffer.byteLength(value) <= NAME_BYTES

const isListOf = (value: unknown, right: (one: unknown) => boolean): boolean =>
  Array.isArray(value) && value.length > 0 && value.every(right)
