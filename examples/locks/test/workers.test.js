import { afterAll, beforeAll, expect, test } from 'vitest'
import { createReport } from '../src/reports.js'
import { createServices } from '../src/services.js'
import { startWorkers } from '../src/workers.js'

const WORKERS = 3
const JOBS = 60

let services
beforeAll(() => {
  services = createServices({ poolMax: 6 })
})
afterAll(() => services.close())

test('workers and the API share one pool, and nobody is left without a connection', async () => {
  const { pool } = services
  await pool.query(`insert into jobs (payload) select 'job ' || n from generate_series(1, $1) as n`, [JOBS])
  const handled = []
  const workers = startWorkers(services, {
    count: WORKERS,
    handle: async (job, client) => {
      await client.query('select pg_sleep(0.01)')
      handled.push(job.id)
    },
  })

  // The API goes on meanwhile; a pool that is taken by the workers would end this with an acquire timeout.
  let answers = 0
  while (workers.seen.done < JOBS) {
    const months = Array.from({ length: 10 }, (_, i) => createReport(services, `tenant ${i}`, `${answers}`))
    answers += (await Promise.all(months)).filter(({ status }) => status === 201).length
  }
  await workers.ended

  expect(workers.seen.most).toBe(WORKERS)
  expect(handled).toHaveLength(JOBS)
  expect(new Set(handled).size).toBe(JOBS)
  expect(answers).toBeGreaterThanOrEqual(10)
  expect(pool.totalCount).toBeLessThanOrEqual(6)
  const { rows } = await pool.query('select count(*)::int as left from jobs where done_at is null')
  expect(rows).toEqual([{ left: 0 }])
})
