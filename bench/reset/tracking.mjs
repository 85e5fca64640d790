// What the notes of writes cost a test: a single-row insert over the wire, with and without them; reads for comparison.
import { createRequire } from 'node:module'

const pg = createRequire(import.meta.url)('pg')
const median = (numbers) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1]

export async function measureTracking({ rowsUrl, plainUrl }, rounds) {
  const clients = await Promise.all(
    [rowsUrl, plainUrl].map(async (url) => {
      const client = new pg.Client(url)
      await client.connect()
      return client
    }),
  )
  const insert = { name: 'insert', text: 'insert into t0 (name) values ($1)', values: ['x'] }
  const select = { name: 'select', text: 'select name from t0 where id = $1', values: [1] }
  const times = { insert: [[], []], select: [[], []] }
  for (let round = 0; round < rounds; round++) {
    for (const [kind, query] of [
      ['insert', insert],
      ['select', select],
    ]) {
      for (const [place, client] of clients.entries()) {
        const startedAt = performance.now()
        await client.query(query)
        // Not the first ones: statements are planned then.
        if (round > 20) times[kind][place].push(performance.now() - startedAt)
      }
    }
  }
  for (const client of clients) await client.end()
  const [tracked, plain] = times.insert.map(median)
  return { tracked, plain, ratio: tracked / plain, select: median(times.select[0]) / median(times.select[1]) }
}
