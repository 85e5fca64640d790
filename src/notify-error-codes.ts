/** The error codes of `db.listen()`: a part of the table in error-codes.ts. */
import type { ErrorEntry } from './lock-error-codes.ts'

export const NOTIFY_ERRORS = {
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
