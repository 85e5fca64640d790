/** What actors do (see actor.ts): `node actor-scripts.mjs <script> <input as JSON>`. */
import { once } from 'node:events'
import { acquireDatabase } from '../../src/acquire.ts'
import {
  beginRun,
  ensureRole,
  leadOrFollow,
  readTemplate,
  registerDatabase,
  useTemplate,
} from '../../src/coordination/index.ts'
import { acquireLease } from '../../src/databases/allocator.ts'
import type { RunContext } from '../../src/databases/context.ts'
import { createAdvisoryLocks } from '../../src/locks/index.ts'
import type { Migrator } from '../../src/migrators/migrator.ts'
import { createPool } from '../../src/pools/index.ts'
import { DEFAULT_LIMITS } from '../../src/pools/limits.ts'
import { type ConnectionTarget, openPool, Session, withSession } from '../../src/postgres/index.ts'
import { buildTemplate } from '../../src/templates/build.ts'

const say = (name: string, value: unknown = null): void => void process.send?.({ name, value })
const forever = (): Promise<never> => new Promise(() => setInterval(() => undefined, 60_000))
const told = async (name: string): Promise<void> => {
  while ((await once(process, 'message'))[0] !== name);
}
const open = (target: ConnectionTarget): Promise<Session> => Session.open(target, { applicationName: 'actor' })

interface BuildInput {
  readonly admin: ConnectionTarget
  readonly templateId: number
  /** What the migration runs and waits for. */
  readonly sql: string
}

const scripts: Record<string, (input: never) => Promise<void>> = {
  /** Reads a number and writes it back plus one, each time in a section of one key; tells how many were in it at most. */
  async countUp({ url, times }: { readonly url: string; readonly times: number }) {
    await using locks = createAdvisoryLocks({ connectionString: url })
    const pool = createPool({ connectionString: url })
    let inside = 0
    let most = 0
    const section = async (): Promise<void> => {
      most = Math.max(most, ++inside)
      const { rows } = await pool.query<{ n: number }>('select n from counter')
      await pool.query('update counter set n = $1', [(rows[0]?.n ?? 0) + 1])
      inside--
    }
    await Promise.all(Array.from({ length: times }, () => locks.withXactLock({ key: 'counter', fn: section })))
    await pool.end()
    say('most', most)
    process.disconnect()
  },

  /** Waits for a lock and holds it for ever. */
  async holdLock({ url, key }: { readonly url: string; readonly key: string }) {
    const locks = createAdvisoryLocks({ connectionString: url })
    await locks.withXactLock({ key, fn: () => say('holds') ?? forever() })
  },

  /** Leads, and hangs in a statement of its migration. */
  async build({ admin, templateId, sql }: BuildInput) {
    const session = await open(admin)
    const role = await ensureRole(session, false)
    const migrator: Migrator = {
      ...{ name: 'actor', summary: 'actor', count: 1, bookkeeping: [], hash: async () => '' },
      async migrate({ connection, onStep }) {
        onStep({ name: '001_slow.sql', index: 1, total: 2 })
        await withSession(connection, { applicationName: 'actor migration' }, async (migration) => {
          say('building', { database: connection.database, backend: migration.backendPid })
          await migration.query(sql)
        })
        return { applied: ['001_slow.sql'] }
      },
    }
    await leadOrFollow({
      ...{ session, templateId, label: 'actor', acceptEarlier: true, waitTimeoutMs: 60_000 },
      lead: (row) => {
        const { host, port } = admin
        const rest = { seed: undefined, extensions: [], install: async () => undefined }
        return buildTemplate(session, row, { ...rest, migrator, role, address: { host, port } })
      },
    })
    say('built')
    await session.close()
    process.disconnect?.()
  },

  /** Leases a database, writes into it, leaves a statement running, and holds it. */
  async lease({ context, sql }: { context: RunContext; sql: string }) {
    const lease = await acquireLease(context, '1')
    const mine = await open({ ...context.admin, database: lease.name })
    await mine.query(sql)
    const orphan = await open({ ...context.admin, database: lease.name })
    // Which the server does not end by itself.
    await orphan.query('set client_connection_check_interval = 0')
    void orphan.query('select pg_sleep(600)').catch(() => undefined)
    say('leased', lease.name)
    await forever()
  },

  /** A worker as a runner has it: leases a database, writes into it through its own pool, and holds both. */
  async worker({ context, sql }: { context: RunContext; sql: string }) {
    const database = await acquireDatabase(context, { slot: '1' })
    for (const statement of sql.split(';')) await database.query(statement)
    say('leased', database.name)
    await forever()
  },

  /** A run that dies with a database that it has registered and not made yet. */
  async register({ admin, project, templateId }: { admin: ConnectionTarget; project: string; templateId: number }) {
    const session = await open(admin)
    const runId = await beginRun(session, { project, runner: 'actor' })
    say('registered', await registerDatabase(session, { templateId, runId, slot: '1', project }))
    await forever()
  },

  /** A run that is alive until it is killed. */
  async run({ admin, project, templateId }: { admin: ConnectionTarget; project: string; templateId: number }) {
    const session = await open(admin)
    const runId = await beginRun(session, { project, runner: 'actor' })
    await useTemplate(session, runId, templateId)
    say('running', (await readTemplate(session, templateId))?.state)
    await forever()
  },

  /** An idle background session must not keep a process alive. */
  async unref({ admin }: { admin: ConnectionTarget }) {
    const session = await open(admin)
    session.unref()
    say('idle', session.backendPid)
    process.disconnect?.()
  },

  /** A statement that runs must. */
  async unrefBusy({ admin }: { admin: ConnectionTarget }) {
    const session = await open(admin)
    const first = session.query('select pg_sleep(0.05)')
    session.unref()
    await first
    process.channel?.unref()
    await session.query('select pg_sleep(0.3)')
    say('answered')
    // The channel is flushed before the process may end.
    process.channel?.ref()
    setTimeout(() => process.disconnect?.(), 20)
  },

  /** The loss of a session that nobody uses ends nothing. */
  async bystander({ admin }: { admin: ConnectionTarget }) {
    const session = await open(admin)
    const pool = openPool(admin, DEFAULT_LIMITS, 'actor pool')
    const { rows } = await pool.query('select pg_backend_pid() as pid')
    // Both have to notice; a query on a connection that is just being ended fails, and may.
    const removed = new Promise((resolve) => pool.once('remove', resolve))
    const noticed = Promise.all([removed, once(session.lost, 'abort'), told('go on')])
    say('connected', [session.backendPid, rows[0].pid])
    await noticed
    const { rows: again } = await pool.query('select 1 as alive')
    say('alive', { lost: session.lost.aborted, pool: again[0].alive })
    await pool.end()
    process.disconnect?.()
  },

  /** The database of a lease is dropped; the process must live on and be told at the next reset. */
  async dropped({ context }: { context: RunContext }) {
    const lease = await acquireLease(context, '1')
    say('leased', lease.name)
    await told('reset')
    try {
      await lease.reset()
      say('result', 'reset')
    } catch (error) {
      say('result', (error as { code?: string }).code)
    }
    await lease.release()
    process.disconnect?.()
  },
}

const [script = '', input = 'null'] = process.argv.slice(2)
const body = scripts[script]
if (!body) throw new Error(`no script ${script}`)
await body(JSON.parse(input) as never)
