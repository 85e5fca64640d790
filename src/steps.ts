/**
 * The states of every protocol between which a process may die, each with what it leaves behind. Code says `reached(step)` there;
 * the crash tests stop a real process exactly at each (docs/design/crash-table.md has a row per step).
 *
 * Nothing happens when nobody listens, so the calls stay in the shipped code and the tests need no other build.
 */
import { publish } from './events.ts'

export const STEPS = {
  'boot.locked': 'holds the start lock; nothing runs',
  'boot.clusterMade': 'a new cluster is in place; the supervisor waits for its job, nothing else runs',
  'boot.supervisorSpawned': 'the supervisor runs and has not been given its job',
  'supervisor.working': 'the supervisor has its job; nothing else runs',
  'supervisor.postmasterUp': 'the server accepts connections; nobody can find it',
  'supervisor.supervising': 'the server has its supervisor and can be found',
  'stop.locked': 'the supervisor holds the start lock; the server runs',
  'stop.setAside': 'the state file is renamed away; the server runs',
  'stop.stateRemoved': 'there is no state file; the server runs',
  'stop.stopped': 'the server is stopped; its socket folder is there',
  'run.connected': 'a session on the maintenance database; nothing is registered',
  'run.registered': 'the run has its lock and its row, and no template',
  'run.waitsForConnections':
    'the run is in the queue for its part of the budget; it holds its session and nothing else',
  'run.reserved': 'the run has its part of the budget, and no template',
  'run.usesTemplate': 'the template may not be swept any more; nobody has looked whether it is there',
  'build.waiting': 'a follower that holds at most the place of the next leader',
  'build.elected': "holds the leader's lock; nothing is written",
  'build.registered': 'the row names a staging database that is not there yet',
  'build.created': 'the staging database is empty',
  'build.migrating': 'a migration is at work in the staging database',
  'build.migrated': 'the staging database is migrated and not seeded',
  'build.seeded': 'the staging database is seeded; a reset could not work in it',
  'build.equipped': 'the staging database is ready and still open to anybody',
  'build.sealing': "the seal's transaction is complete and not committed",
  'build.sealed': "the template is sealed; the leader's lock is still held",
  'lease.picked': 'the row of an idle database is locked, in a transaction',
  'lease.locked': 'the lease lock is held; the lease row says free',
  'lease.taken': 'the lease row says held',
  'clone.registered': 'the name of a database that is not there yet is in the registry',
  'clone.created': 'the database is there; its row says "creating"',
  'clone.leased': 'the database is leased; its row still says "creating"',
  'reset.started': 'the test has written; nothing is put back',
  'reset.finished': 'everything is put back; the lease row says held',
  'replace.noted': 'the row says "creating"; the old database is there and leased',
  'replace.dropped': 'the row says "creating"; there is no database',
  'replace.cloned': 'the row says "creating"; the new database is there and not leased',
  'release.settled': 'the lease row says free; the lock is still held',
  'schema.registered': 'the row names a schema that is not there yet; its lock is held',
  'schema.created': 'the schema and its companion are empty',
  'schema.migrating': 'a migration is at work in the schema',
  'schema.migrated': 'the schema is migrated and seeded; nobody has looked what was made outside of it',
  'schema.equipped': 'the schema is complete; its row says making',
  'schema.taken': 'a worker has the schema and its row says held; nothing is put back',
  'schema.requested': 'a worker that has no schema waits for one that its run makes',
  'schema.claimed': 'the row says dropping; the schema is there',
  'schema.dropped': 'the schema is dropped; its row is there',
  'sweep.claimed': 'the template counts as missing; it and its databases are still there',
  'sweep.dropped': 'a database is dropped; its row is still there',
} as const

export type Step = keyof typeof STEPS

/** Says that this process is at that step, to whoever listens to the event `step.reached`. */
export function reached(step: Step): void {
  publish('step.reached', { step })
}
