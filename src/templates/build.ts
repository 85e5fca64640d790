/**
 * Builds a template: staging database → extensions → migrations → seed → what the reset needs → seal.
 *
 * Sealing is one transaction on the session that holds the leader's lock: forbid connections, mark as template, rename,
 * write "sealed". Either all of it is there or nothing, and a leader that has lost its lock has lost this session too,
 * so it can not seal. Nothing is cloned before that.
 *
 * What if the process dies here? Before `beginAttempt`: nothing happened. After it: the row names the staging database,
 * and the next leader ends its sessions (a statement can outlive its client) and drops it. Each attempt has a staging
 * name of its own, which no other registry on this server can have either.
 */
import { randomBytes } from 'node:crypto'
import { beginAttempt, noteSealed, noteStep, type Role, type TemplateRow } from '../coordination/index.ts'
import { messageOf, TestDbError } from '../errors.ts'
import { type MigrationStep, publish } from '../events.ts'
import type { Migrator } from '../migrators/migrator.ts'
import {
  type ConnectionTarget,
  createDatabase,
  databaseExists,
  databaseName,
  endSessions,
  ident,
  isSqlState,
  removeDatabase,
  type ServerAddress,
  type Session,
  slug,
  withSession,
} from '../postgres/index.ts'
import { reached } from '../steps.ts'
import { orLost } from './or-lost.ts'

/** Progress is written to the registry at most this often (ms): followers look at it when they re-check. */
const STEP_WRITE_MS = 200

export interface TemplatePlan {
  readonly migrator: Migrator
  readonly seed: { readonly summary: string; run(target: ConnectionTarget): Promise<void> } | undefined
  readonly extensions: readonly string[]
  /** Who migrates and owns everything. */
  readonly role: Role
  /** Where the migrator and the seed connect: an address that every driver takes, not only ours. */
  readonly address: ServerAddress
  /** Puts what the reset strategy needs into the migrated database, as the admin. */
  readonly install: (session: Session) => Promise<void>
}

/** The name of a sealed template; it follows from its content, so a lost registry finds its templates again. */
export function templateName(hash: string, maintenanceDatabase: string): string {
  // Two registries on one server do not share templates: neither knows whether the other's runs live.
  const place = maintenanceDatabase === 'postgres' ? [] : [slug(maintenanceDatabase)]
  return databaseName('t', ...place, hash.slice(0, 16))
}

/** Builds the template of `row` and seals it. Call it only as the leader; `session` holds the lock. */
export async function buildTemplate(session: Session, row: TemplateRow, plan: TemplatePlan): Promise<void> {
  const startedAt = performance.now()
  const wanted = row.name ?? templateName(row.hash, session.target.database)
  if (await adoptSealed(session, row, wanted)) return
  await assertExtensions(session, plan.extensions)
  if (row.staging !== null) await removeDatabase(session, row.staging)

  // A database of that name that is not sealed was not left by us: it stays, and the template gets another name.
  const name = (await databaseExists(session, wanted)) ? `${wanted}_${randomBytes(4).toString('hex')}` : wanted
  const staging = databaseName('s', row.id, row.attempt + 1, randomBytes(4).toString('hex'))
  await beginAttempt(session, row.id, staging)
  reached('build.registered')
  try {
    await createDatabase(session, staging, { template: 'template0', owner: plan.role.user })
    reached('build.created')
    const applied = await fill(session, row.id, staging, plan)
    await seal(session, row.id, { staging, name, applied, buildMs: performance.now() - startedAt })
    publish('template.built', { template: name, migrations: applied, durationMs: performance.now() - startedAt })
  } catch (error) {
    await removeDatabase(session, staging).catch(() => undefined)
    throw error
  }
}

/** Migrates, seeds and equips the staging database; returns the number of migrations that ran. */
async function fill(session: Session, templateId: number, staging: string, plan: TemplatePlan): Promise<number> {
  const admin = { ...session.target, database: staging }
  const owner = { ...plan.address, user: plan.role.user, password: plan.role.password, database: staging }
  await createExtensions(admin, plan.extensions)

  const steps = stepWriter(session, templateId)
  const migration = plan.migrator.migrate({ connection: owner, signal: session.lost, onStep: steps.note })
  const { applied } = await orLost(session, migration).finally(steps.stop)
  reached('build.migrated')
  if (plan.seed) {
    publish('seed.started', { name: plan.seed.summary })
    await orLost(session, plan.seed.run(owner))
  }
  reached('build.seeded')
  // Settings such as a default transaction mode that the migrations gave the database must not bind what we install.
  await withSession(admin, { applicationName: 'testdb install', neutral: true }, plan.install)
  reached('build.equipped')
  return applied.length
}

/** Writes the step that runs, the first at once and the last one of each interval: that is the one that takes long. */
function stepWriter(session: Session, templateId: number): { note(step: MigrationStep): void; stop(): void } {
  let latest: MigrationStep | undefined
  let timer: NodeJS.Timeout | undefined
  const write = (): void => {
    timer = undefined
    if (latest === undefined) return
    // Only for people who wait; a failure shows at the next statement of the build itself.
    noteStep(session, templateId, latest).catch(() => undefined)
    latest = undefined
    timer = setTimeout(write, STEP_WRITE_MS)
  }
  return {
    note(step) {
      reached('build.migrating')
      latest = step
      if (timer === undefined) write()
    },
    stop() {
      clearTimeout(timer)
    },
  }
}

async function seal(
  session: Session,
  templateId: number,
  result: { readonly staging: string; readonly name: string; readonly applied: number; readonly buildMs: number },
): Promise<void> {
  await endSessions(session, result.staging)
  await session.transaction(async () => {
    await session.query(`alter database ${ident(result.staging)} with allow_connections false is_template true`)
    await session.query(`alter database ${ident(result.staging)} rename to ${ident(result.name)}`)
    // Its owner could open and change it; the objects in it, and so in every clone, stay with the role.
    await session.query(`alter database ${ident(result.name)} owner to current_user`)
    await noteSealed(session, templateId, result)
    reached('build.sealing')
  })
  reached('build.sealed')
}

/** A sealed database of that name was built from the same content, but the registry has forgotten it: take it. */
async function adoptSealed(session: Session, row: TemplateRow, name: string): Promise<boolean> {
  const { rows } = await session.query<{ sealed: boolean }>(
    'select datistemplate and not datallowconn as sealed from pg_database where datname = $1',
    [name],
  )
  if (rows[0]?.sealed !== true) return false
  await noteSealed(session, row.id, { name, applied: row.migrations ?? 0, buildMs: row.buildMs ?? 0 })
  return true
}

export async function assertExtensions(session: Session, wanted: readonly string[]): Promise<void> {
  if (wanted.length === 0) return
  const { rows } = await session.query<{ name: string }>('select name from pg_available_extensions order by name')
  const available = new Set(rows.map((row) => row.name))
  const missing = wanted.filter((name) => !available.has(name))
  if (missing.length === 0) return
  const what = `the server does not have ${missing.map((name) => `"${name}"`).join(', ')}; it has ${[...available].join(', ')}`
  throw new TestDbError('TESTDB_EXTENSION_MISSING', what, { details: { missing } })
}

async function createExtensions(admin: ConnectionTarget, names: readonly string[]): Promise<void> {
  if (names.length === 0) return
  await withSession(admin, { applicationName: 'testdb install' }, async (session) => {
    for (const name of names) await createExtension(session, name)
  })
}

async function createExtension(session: Session, name: string): Promise<void> {
  try {
    await session.query(`create extension if not exists ${ident(name)} cascade`)
  } catch (error) {
    if (!isSqlState(error, 'insufficientPrivilege')) throw error
    const { user } = session.target
    throw new TestDbError(
      'TESTDB_RIGHTS_MISSING',
      `"${user}" may not create the extension "${name}": ${messageOf(error)}`,
      {
        details: { right: 'extension', extension: name, user },
        fixes: [
          'Connect as a superuser, or on a managed server as the administrator that may create it.',
          `Or have it marked as trusted in its control file (\`trusted = true\`): then the owner of a database may create it.`,
          `Or remove "${name}" from \`extensions\` if the migrations can do without it.`,
          'Run `npx testdb doctor` to see which extensions the server has.',
        ],
        cause: error,
      },
    )
  }
}
