import { conflict, notFound } from '../errors.js'
import { paginate } from '../lib/pagination.js'

export async function enqueue(scope, { payload = {}, ...job }) {
  return scope.insertOne('jobs', { ...job, payload: JSON.stringify(payload) })
}

export async function list(scope, { status, ...page } = {}) {
  const query = scope.from('jobs').select('*')
  if (status) query.where({ status })
  return paginate(query, page)
}

export async function get(scope, id) {
  const job = await scope.from('jobs').where({ id }).first()
  if (!job) throw notFound('job')
  return job
}

export async function cancel(scope, id) {
  const [job] = await scope.update(
    'jobs',
    { id, status: 'queued' },
    { status: 'cancelled', finished_at: scope.db.fn.now() },
  )
  if (job) return job
  const { status } = await get(scope, id)
  throw conflict('not_queued', `the job is ${status}`)
}

// The rest is the worker's side. It serves all tenants, so it has no scope.

/** Takes the most urgent job that is due. Rows that another worker is just taking are skipped, not waited for. */
export async function claim(db, workerName) {
  const { rows } = await db.raw(
    `with next as materialized (
       select id from jobs
       where status = 'queued' and run_at <= now()
       order by priority desc, run_at, id
       limit 1
       for update skip locked
     )
     update jobs set status = 'running', locked_by = ?, locked_at = now(), attempts = attempts + 1
     from next where jobs.id = next.id
     returning jobs.*`,
    [workerName],
  )
  return rows[0]
}

const RELEASED = { locked_by: null, locked_at: null }

export async function complete(db, job) {
  await db('jobs')
    .where({ id: job.id, locked_by: job.locked_by })
    .update({ ...RELEASED, status: 'done', finished_at: db.fn.now(), last_error: null })
}

/** Puts the job back with a growing delay (10 s, 20 s, 40 s, …), or gives up after its last attempt. */
export async function fail(db, job, error) {
  const giveUp = job.attempts >= job.max_attempts
  const changes = giveUp
    ? { status: 'failed', finished_at: db.fn.now() }
    : { status: 'queued', run_at: db.raw('now() + make_interval(secs => ?)', [10 * 2 ** (job.attempts - 1)]) }
  await db('jobs')
    .where({ id: job.id, locked_by: job.locked_by })
    .update({ ...RELEASED, ...changes, last_error: error.message })
}

/** Jobs whose worker has vanished go back into the queue. */
export async function requeueStale(db, seconds) {
  return db('jobs')
    .where({ status: 'running' })
    .whereRaw('locked_at < now() - make_interval(secs => ?)', [seconds])
    .whereRaw('attempts < max_attempts')
    .update({ ...RELEASED, status: 'queued' })
}
