/** What a run's databases are made from: its template, or the one database that all share. Built by one process, awaited by the others. */
import type { ResolvedConfig } from './config/config.ts'
import { leadOrFollow, type Role, registerTemplate, useTemplate } from './coordination/index.ts'
import { installReset } from './databases/reset/install.ts'
import type { ResetStrategy } from './databases/reset/strategy.ts'
import { publish } from './events.ts'
import type { Migrator } from './migrators/migrator.ts'
import type { loadSeed } from './migrators/seed.ts'
import type { Session } from './postgres/index.ts'
import type { Server } from './server/server.ts'
import { reached } from './steps.ts'
import { buildTemplate, templateName } from './templates/build.ts'
import { migrateShared } from './templates/shared.ts'

/** How long a process waits for another one's build (ms): longer than any sane migration, shorter than a forgotten CI job. */
const BUILD_WAIT_MS = 30 * 60_000

export interface RunPlace {
  readonly session: Session
  readonly address: Server['address']
  readonly runId: number
  readonly role: Role
  readonly config: ResolvedConfig
}

export interface TemplateContent {
  readonly hash: string
  readonly migrator: Migrator
  readonly seed: Awaited<ReturnType<typeof loadSeed>>
  readonly strategy: ResetStrategy
}

/** Makes sure that the template of that hash is there, and that no sweep takes it away while the run lives. */
export async function ensureTemplate(
  { session, address, runId, role, config }: RunPlace,
  { hash, migrator, seed, strategy }: TemplateContent,
): Promise<{ readonly id: number; readonly name: string }> {
  const startedAt = performance.now()
  const name = templateName(hash, session.target.database)
  const { project, extensions } = config
  const { id } = await registerTemplate(session, { hash, project, summary: migrator.summary, name })
  // From here on no sweep takes the template away; only then is it safe to look whether it is there.
  await useTemplate(session, runId, id)
  reached('run.usesTemplate')
  let built = false
  const sealed = await leadOrFollow({
    session,
    templateId: id,
    label: name,
    acceptEarlier: true,
    waitTimeoutMs: BUILD_WAIT_MS,
    lead: (row) => {
      built = true
      const install = (staging: Session): Promise<void> =>
        installReset(staging, strategy, { bookkeeping: migrator.bookkeeping })
      return buildTemplate(session, row, { migrator, seed, extensions, role, address, install })
    },
  })
  if (!built) publish('template.reused', { template: name, waitedMs: performance.now() - startedAt })
  return { id, name: sealed.name ?? name }
}

/** Migrates the database that all workers share. */
export async function ensureShared({ session, address, runId, config }: RunPlace, migrator: Migrator): Promise<void> {
  const { project } = config
  await migrateShared({ session, address, runId, project, migrator, waitTimeoutMs: BUILD_WAIT_MS })
}
