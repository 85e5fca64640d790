/**
 * Background workers on the pool of the API. Each holds one connection while it has a job, so `count` is what they take from the
 * pool at most. SKIP LOCKED lets them pass each other's jobs.
 */
export function startWorkers({ pool }, { count, handle }) {
  let stopped = false
  let holding = 0
  const seen = { most: 0, done: 0 }

  async function takeOne() {
    const client = await pool.connect()
    seen.most = Math.max(seen.most, ++holding)
    try {
      await client.query('begin')
      const { rows } = await client.query(
        'select id, payload from jobs where done_at is null order by id limit 1 for update skip locked',
      )
      if (rows.length > 0) {
        await handle(rows[0], client)
        await client.query('update jobs set done_at = now() where id = $1', [rows[0].id])
      }
      await client.query('commit')
      seen.done += rows.length
      return rows.length > 0
    } catch (error) {
      await client.query('rollback').catch(() => undefined)
      throw error
    } finally {
      holding--
      client.release()
    }
  }

  async function work() {
    while (!stopped && (await takeOne()));
  }

  const ended = Promise.all(Array.from({ length: count }, work))
  return {
    seen,
    /** Resolves when no job is left, or when all have stopped. */
    ended,
    async stop() {
      stopped = true
      await ended
    },
  }
}
