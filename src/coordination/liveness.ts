/**
 * Who is alive. A run, a leader and a lease each hold an advisory lock on a session of their own; the server frees it when
 * the process dies, so there is no heartbeat, no expiry time and no guessing by process id.
 */
import { LOCK_SPACE, type Session, tryLock } from '../postgres/index.ts'

// Lists, not questions for each row: reading pg_locks costs more than a whole query, and more the more connections a server takes.

/** SQL that is true while the lease lock of the database named by `column` is held. Usable in any database of the server. */
export const isLeased = (column: string): string => `(${column} in (
  select place.datname from pg_locks held join pg_database place on place.oid = held.database
   where held.locktype = 'advisory' and held.classid = ${LOCK_SPACE.lease} and held.objid = 1 and held.objsubid = 2
     and held.granted))`

/** SQL that is true while the run with that id lives. Only right in the maintenance database. */
export const isRunAlive = (column: string): string => heldHere('run', column)

/** SQL that is true while somebody builds the template with that id. Only right in the maintenance database. */
export const isBeingBuilt = (column: string): string => heldHere('build', column)

/** SQL that is true while the database with that id is being made. Only right in the maintenance database. */
export const isBeingMade = (column: string): string => heldHere('clone', column)

/** SQL that is true while somebody makes, uses or drops the schema with that id. Only right in the maintenance database. */
export const isSchemaHeld = (column: string): string => heldHere('schema', column)

const heldHere = (space: 'run' | 'build' | 'clone' | 'schema', column: string): string => `(${column} in (
  select held.objid::int from pg_locks held
   where held.locktype = 'advisory' and held.classid = ${LOCK_SPACE[space]} and held.objsubid = 2
     and held.granted and held.database = (select oid from pg_database where datname = current_database())))`

/** Takes the lease of the database that the session is connected to; false when a living worker has it. */
export const tryLease = (session: Session): Promise<boolean> => tryLock(session, 'lease', 1)
