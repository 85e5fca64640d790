// The rival with containers, where there is a Docker engine and the package: npm i --no-save @testcontainers/postgresql

import { createRequire } from 'node:module'
import { migrate, test } from './schema.mjs'

const pg = createRequire(import.meta.url)('pg')
const median = (numbers) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1]
const IMAGE = process.env.BENCH_POSTGRES_IMAGE ?? 'postgres:18'

/** `{ ms }`, or the reason why there is no number. */
export async function restoreSnapshots(tables, rounds) {
  let container
  try {
    const { PostgreSqlContainer } = await import('@testcontainers/postgresql')
    container = await new PostgreSqlContainer(IMAGE).withDatabase('bench').start()
  } catch (error) {
    return { reason: `not measured: ${String(error.message).split('\n')[0].slice(0, 80)}` }
  }
  try {
    await migrate(container.getConnectionUri(), tables)
    await container.snapshot()
    const times = []
    for (let round = 0; round < rounds; round++) {
      const client = new pg.Client(container.getConnectionUri())
      await client.connect()
      await client.query(test)
      await client.end()
      const startedAt = performance.now()
      await container.restoreSnapshot()
      times.push(performance.now() - startedAt)
    }
    return { ms: median(times) }
  } finally {
    await container.stop()
  }
}
