/** What each session of ours says first. */

/** How soon the server notices, inside a statement, that our process is gone (ms). Below a human's patience, above noise. */
const CLIENT_CHECK_MS = 250

/** What a server may do to a session after some time; which of them there are depends on its version. */
const TIME_LIMITS = [
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
  'idle_session_timeout',
  'transaction_timeout',
]

/** Makes the server look after its client inside a statement: who dies while it waits for a lock leaves the queue. */
export const WATCH_CLIENT = `
  select set_config('client_connection_check_interval', '${CLIENT_CHECK_MS}', false)
   where current_setting('client_connection_check_interval', true) is not null and version() !~* 'windows|mingw|msvc'`

/** Not in the start-up packet: poolers refuse `options`, and Windows servers refuse `client_connection_check_interval`. */
export const configure = (neutral: boolean): string => `
  ${neutral ? 'set statement_timeout = 0; set role none; set default_transaction_read_only = off;' : ''}
  ${WATCH_CLIENT};
  ${neutral ? `select set_config(name, '0', false) from unnest('{${TIME_LIMITS.join(', ')}}'::text[]) as name where current_setting(name, true) is not null;` : ''}`
