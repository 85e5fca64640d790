/** The part of the table that an application and its tests meet: the codes of `testdb/locks`, `testdb/pools` and `testdb/load`. */

export interface ErrorEntry {
  /** What it means for the reader, one sentence. */
  readonly meaning: string
  /** What to do about it, most likely fix first; the last one names a command to look closer. */
  readonly fixes: readonly string[]
}

export const LOCK_ERRORS = {
  TESTDB_LOCK_KEY_INVALID: {
    meaning: 'A lock needs a key that all who take it agree on, so nothing was locked.',
    fixes: [
      'Use a text that is not empty, a safe integer, a bigint of 64 bits, or a pair of integers of 32 bits.',
      'Look at the id of which the key is made: it may be undefined.',
      'Run `npx testdb doctor` to see which version of testdb this is.',
    ],
  },
  TESTDB_LOCK_TIMEOUT: {
    meaning:
      'The lock was not had in time, so the section was not run; nothing has happened and it can be tried again.',
    fixes: [
      'Try again later, or answer 503: `details.retryable` is true.',
      'Make the sections that hold this lock shorter: no calls of other services, no waiting for people.',
      'Waited for a connection: raise DATABASE_LOCK_POOL_MAX, or use fewer different keys at once.',
      'Run `npx testdb doctor` to see how many connections the server has.',
    ],
  },
  TESTDB_LOCK_DEADLOCK: {
    meaning: 'Two sections wait for a lock that the other one holds; Postgres has ended the waiting of this one.',
    fixes: [
      'Take nested locks in one order everywhere, for example sorted by key.',
      'Let the outer section fail and try all of it again: `details.retryable` is true.',
      'Run `npx testdb doctor` to see which server this is.',
    ],
  },
  TESTDB_LOCK_LOST: {
    meaning:
      'The session that held the lock has ended, so somebody else may have been in the section at the same time.',
    fixes: [
      'Look at what ended the session; a section that idles too long is ended by DATABASE_LOCK_IDLE_TX_TIMEOUT_MS.',
      'Hand `signal` to everything that the section waits for, so that it stops at once.',
      'Undo or check what the section has done, then try again: `details.retryable` is true.',
      'Run `npx testdb doctor` to see whether the server is up.',
    ],
  },
  TESTDB_LOCKS_CLOSED: {
    meaning: '`close()` was called, so no new section begins.',
    fixes: [
      'Close the locks after everything that uses them: first the HTTP server and the workers, then the locks, then the pool.',
      'Run `npx testdb doctor` to see which version of testdb this is.',
    ],
  },
  TESTDB_LIMIT_REACHED: {
    meaning: 'As many calls as allowed are running and waiting for this key, so this one was not run.',
    fixes: [
      'Answer 429 and let the client try again: `details.retryable` is true.',
      'Raise `max` or `maxWaiting` of limitPerKey().',
      'Run `npx testdb doctor` to see which version of testdb this is.',
    ],
  },
  TESTDB_CONNECTIONS_EXCEEDED: {
    meaning: 'The function takes more connections at the same time than it should; under load it empties the pool.',
    fixes: [
      'Hand the connection that is taken already (`client`, or `trx` of Knex) to everything that is called.',
      'Ask once for all (`where room = any($1)`) instead of once for each in a `Promise.all`.',
      'Raise `max` if so many are meant.',
      'Run `npx testdb status` to see who is connected.',
    ],
  },
  TESTDB_LOAD_MISSED: {
    meaning: 'Under this load the service does not do what was expected of it.',
    fixes: [
      'Begin with the first line above: an empty pool makes requests slow, and slow requests become errors.',
      'Run it again on a quiet machine before you believe in a missed throughput or latency.',
      'Run `npx testdb status` during the load to see the sessions and what they do.',
    ],
  },
} as const satisfies Record<string, ErrorEntry>
