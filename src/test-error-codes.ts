/** The error codes of tests and of the databases they hold: a part of the table in error-codes.ts. */
import type { ErrorEntry } from './lock-error-codes.ts'

export const TEST_ERRORS = {
  TESTDB_LEASE_LOST: {
    meaning: 'The database that this worker holds is gone or was taken away; the tests of this file can not go on.',
    fixes: [
      'Look for code that drops databases, ends foreign sessions or restarts the server.',
      'Run `npx testdb status` to see which databases there are.',
    ],
  },
  TESTDB_RESET_FAILED: {
    meaning: 'The database could not be put back, so the next test would start from a wrong state.',
    fixes: ['Read the cause above.', 'Run `npx testdb status` to see who is connected to the database.'],
  },
  TESTDB_TESTS_CONCURRENT: {
    meaning: 'The reset after one of them would remove what the other one is working with.',
    fixes: [
      "Use `scope: 'test'` and the `db` fixture: then each test has a database of its own.",
      'Or remove `.concurrent` (`sequence.concurrent`): files run at the same time anyway.',
      'Run `npx testdb doctor` to see which scope and reset are used.',
    ],
  },
  TESTDB_CHECKPOINT_FAILED: {
    meaning: 'The present state of the database could not be remembered, so a reset would not return to it.',
    fixes: [
      "Use `reset: 'rows'`: it is the strategy that has checkpoints.",
      'Make changes of the schema in a migration: a checkpoint can keep new objects, but not changed ones.',
      'Run `npx testdb doctor` to see which strategy is used and why.',
    ],
  },
  TESTDB_GUARD_FAILED: {
    meaning:
      'The test, or the file, left something behind that harms what runs after it. Its database was put back and the session ended.',
    fixes: [
      'Correct what is named above; docs/guards.md says for each guard how.',
      "Or set the guard to 'warn' in `guards` of testdb.config.ts: then it is only printed.",
      'Run `npx testdb status` while the test runs to see who is connected.',
    ],
  },
  TESTDB_CONNECTION_REFUSED: {
    meaning: 'All connections that there may be are open, so whoever asks for one more gets an error instead.',
    fixes: [
      'Close what the test opens (`await client.end()`, `await pool.end()`), and use one pool for all that runs in a process: `db.pool` is one.',
      'Set `pool: { max }` in testdb.config.ts if the code needs more: a database takes twice that plus 4.',
      'Run `npx testdb status` while the test runs to see who is connected.',
    ],
  },
  TESTDB_NOTIFICATION_TIMEOUT: {
    meaning:
      'Nothing that was waited for was sent on this channel of this database and committed while somebody listened.',
    fixes: [
      'Look whether the transaction that notifies is committed: a NOTIFY is sent at the commit, and not at all after a rollback.',
      'Compare the name of the channel: without quotes `NOTIFY Jobs` is sent on "jobs".',
      'Listen first: `db.waitForNotification(channel, { act })` runs `act` when the channel is listened to.',
      'Run `npx testdb status` while the test waits to see the open transactions.',
    ],
  },
  TESTDB_SUBSCRIPTION_ENDED: {
    meaning: 'A subscription ends with its test, so that nothing of it reaches the next one.',
    fixes: [
      'Call `db.listen()` in the test, or in `beforeEach`, and await `next()` before the test ends.',
      'Run `npx testdb doctor` to see which version of testdb this is.',
    ],
  },
} as const satisfies Record<string, ErrorEntry>
