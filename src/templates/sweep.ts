/**
 * Removes what nobody uses: half-made databases of dead runs, staging databases of dead leaders, templates (with their
 * databases) that are old or many. Liveness decides, never age alone: a template with a live run, a leased database or a
 * leader at work is left alone.
 *
 * A template is taken out of use in one statement that a run starting at the same moment collides with: either the run
 * was first and its `last_used` no longer matches, or it finds the template missing and builds it again. The builder's lock is
 * held meanwhile, so nobody adopts the database that is about to be dropped.
 *
 * What if the process dies here? The same statement notes what has to go: the template as a staging database, its
 * databases as "dropping". So the next sweep finishes it, or the next leader, who drops it or, if it is whole, adopts it.
 */
import {
  forgetDatabase,
  forgetDeadRuns,
  isBeingBuilt,
  isBeingMade,
  isLeased,
  isRunAlive,
  type SchemaRetention,
  uselessSchemas,
} from '../coordination/index.ts'
import { publish } from '../events.ts'
import { isSqlState, removeDatabase, type Session, tryLock, unlock } from '../postgres/index.ts'
import { reached } from '../steps.ts'
import { sweepSchemas } from './schema-sweep.ts'

export interface Retention {
  /** Templates of one project that are kept however old they are: the branches somebody switches between. */
  readonly perProject: number
  /** Days without use after which a template goes although it is among them. */
  readonly days: number
}

export const RETENTION: Retention = { perProject: 4, days: 14 }

/** More idle databases of one template than this go after an hour: many runs at once leave more than the next run takes. */
const IDLE_PER_TEMPLATE = 8

export interface SweepResult {
  readonly dropped: readonly string[]
}

export interface SweepScope {
  readonly retention: Retention
  /** Only what belongs to this project; undefined: everybody's. */
  readonly project?: string
}

export async function sweep(session: Session, { retention, project }: SweepScope): Promise<SweepResult> {
  const dropped: string[] = []
  const drop = async (name: string, reason: string): Promise<boolean> => {
    if (!(await dropIdle(session, name))) return false
    dropped.push(name)
    publish('database.pruned', { database: name, reason })
    return true
  }
  await forgetDeadRuns(session)
  for (const name of await abandonedDatabases(session)) {
    if (await drop(name, 'its run is gone')) await forgetDatabase(session, name)
  }
  for (const { id, staging } of await abandonedStagings(session)) {
    await asBuilder(session, id, async () => {
      if (!(await isStagingOf(session, id, staging))) return
      if (await drop(staging, 'who made or dropped it is gone')) await forgetStaging(session, id)
    })
  }
  for (const template of await unusedTemplates(session, retention, project)) {
    await asBuilder(session, template.id, async () => {
      if (!(await takeOutOfUse(session, template))) return
      reached('sweep.claimed')
      for (const name of await claimedDatabases(session, template.id)) {
        if (await drop(name, 'its template is not used any more')) await forgetDatabase(session, name)
      }
      if (await drop(template.name, 'not used any more')) await forgetStaging(session, template.id)
    })
  }
  for (const name of await claimKept(session)) {
    if (await drop(name, 'kept long enough')) await forgetDatabase(session, name)
  }
  for (const name of await claimSurplus(session)) {
    if (await drop(name, 'more idle databases than anybody takes')) await forgetDatabase(session, name)
  }
  return { dropped: [...dropped, ...(await sweepSchemas(session, schemaRetention(retention, project)))] }
}

/** A schema lies among the project's own tables: only those of the last hash stay. */
const schemaRetention = (retention: Retention, project: string | undefined): SchemaRetention => ({
  project,
  days: retention.days,
  perProject: retention.perProject === RETENTION.perProject ? 1 : retention.perProject,
})

/** Runs `body` unless somebody builds the template, and keeps builders away meanwhile. */
async function asBuilder(session: Session, templateId: number, body: () => Promise<void>): Promise<void> {
  if (!(await tryLock(session, 'build', templateId))) return
  try {
    await body()
  } finally {
    // A lock that stayed behind would look like a leader that builds as long as this run lives.
    if (!session.lost.aborted) await unlock(session, 'build', templateId)
  }
}

/** Between our look and our lock another leader may have come and gone. */
async function isStagingOf(session: Session, templateId: number, staging: string): Promise<boolean> {
  const { rowCount } = await session.query('select from testdb.templates where id = $1 and staging = $2', [
    templateId,
    staging,
  ])
  return rowCount === 1
}

/** The databases that a sweep would drop right now; changes nothing. */
export async function previewSweep(session: Session, { retention, project }: SweepScope): Promise<SweepResult> {
  const templates = await unusedTemplates(session, retention, project)
  const { rows } = await session.query<{ name: string }>(
    `select name from testdb.databases d where template_id = any ($1) and not ${isLeased('d.name')} order by id`,
    [templates.map(({ id }) => id)],
  )
  const stagings = (await abandonedStagings(session)).map(({ staging }) => staging)
  const clones = rows.map(({ name }) => name)
  const surplus = await session.query<{ name: string }>(`select name from testdb.databases d where ${IS_SURPLUS}`)
  const names = [
    ...(await abandonedDatabases(session)),
    ...stagings,
    ...clones,
    ...templates.map(({ name }) => name),
    ...surplus.rows.map(({ name }) => name),
    ...(await uselessSchemas(session, schemaRetention(retention, project))).map(({ name }) => name),
  ]
  return { dropped: [...new Set(names)] }
}

/** Drops a database of ours; false when somebody is connected after all. */
async function dropIdle(session: Session, name: string): Promise<boolean> {
  try {
    await removeDatabase(session, name)
    reached('sweep.dropped')
    return true
  } catch (error) {
    if (isSqlState(error, 'objectInUse')) return false
    throw error
  }
}

async function abandonedDatabases(session: Session): Promise<string[]> {
  const { rows } = await session.query<{ name: string }>(
    `select name from testdb.databases d
      where state in ('creating', 'spare', 'once', 'dropping') and not ${isRunAlive('d.run_id')} and not ${isLeased('d.name')}
        and not ${isBeingMade('d.id')}`,
  )
  return rows.map((row) => row.name)
}

async function abandonedStagings(session: Session): Promise<{ id: number; staging: string }[]> {
  const { rows } = await session.query<{ id: number; staging: string }>(
    `select id, staging from testdb.templates t where staging is not null and not ${isBeingBuilt('t.id')}`,
  )
  return rows
}

interface UnusedTemplate {
  readonly id: number
  readonly name: string
  readonly lastUsed: string
}

async function unusedTemplates(session: Session, retention: Retention, project?: string): Promise<UnusedTemplate[]> {
  const { rows } = await session.query<UnusedTemplate>(
    `select id, name, "lastUsed" from (
       select id, name, last_used::text as "lastUsed", last_used,
              row_number() over (partition by project order by last_used desc) as place
         from testdb.templates where state = 'sealed' and name is not null and ($3::text is null or project = $3)) t
      where (place > $1 or last_used < now() - make_interval(days => $2))
        and not exists (select from testdb.runs r where r.template_id = t.id and ${isRunAlive('r.id')})
        and not exists (select from testdb.databases d where d.template_id = t.id and ${isLeased('d.name')})
        and not ${isBeingBuilt('t.id')}`,
    [retention.perProject, retention.days, project ?? null],
  )
  return rows
}

/** Notes in one statement everything that has to go, so that nothing is forgotten whenever this process dies. */
async function takeOutOfUse(session: Session, template: UnusedTemplate): Promise<boolean> {
  const { rows } = await session.query<{ id: number }>(
    `with claimed as (
       update testdb.templates t set state = 'missing', staging = name
        where id = $1 and state = 'sealed' and last_used = $2::timestamptz
          and not exists (select from testdb.runs r where r.template_id = t.id and ${isRunAlive('r.id')})
       returning id
     ), databases as (
       update testdb.databases d set state = 'dropping' from claimed
        where d.template_id = claimed.id and not ${isLeased('d.name')}
     ) select id from claimed`,
    [template.id, template.lastUsed],
  )
  return rows.length === 1
}

async function claimedDatabases(session: Session, templateId: number): Promise<string[]> {
  const { rows } = await session.query<{ name: string }>(
    `select name from testdb.databases d where template_id = $1 and state = 'dropping' and not ${isLeased('d.name')}`,
    [templateId],
  )
  return rows.map((row) => row.name)
}

async function forgetStaging(session: Session, templateId: number): Promise<void> {
  await session.query('update testdb.templates set staging = null where id = $1', [templateId])
}

/** Databases of failed tests are kept this long (days), and so many of a project. */
export const KEPT = { days: 1, perProject: 10 }

async function claimKept(session: Session): Promise<string[]> {
  const { rows } = await session.query<{ name: string }>(
    `update testdb.databases set state = 'dropping' where id in (
       select id from (
         select d.id, d.last_used, row_number() over (partition by t.project order by d.last_used desc, d.id desc) as place
           from testdb.databases d join testdb.templates t on t.id = d.template_id where d.state = 'kept') kept
        where place > $1 or last_used < now() - make_interval(days => $2))
     returning name`,
    [KEPT.perProject, KEPT.days],
  )
  return rows.map((row) => row.name)
}

/** A living run's workers take their databases again without asking the registry (databases/same-again.ts). */
const IS_SURPLUS = `d.state = 'ready' and d.last_used < now() - interval '1 hour' and not ${isLeased('d.name')} and not ${isRunAlive('d.run_id')} and d.id in (
  select id from (select id, row_number() over (partition by template_id order by last_used desc) as place
                    from testdb.databases where state = 'ready') ranked where place > ${IDLE_PER_TEMPLATE})`

/** A worker that is just taking one holds its row; when it is done, the row is no surplus any more. */
async function claimSurplus(session: Session): Promise<string[]> {
  const { rows } = await session.query<{ name: string }>(
    `update testdb.databases d set state = 'dropping' where ${IS_SURPLUS} returning name`,
  )
  return rows.map((row) => row.name)
}
