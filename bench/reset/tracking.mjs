// What the notes of writes cost a test: a single-row insert over the wire, with and without them; reads for comparison.
import { createRequire } from 'node:module'

const pg = createRequire(import.meta.url)('pg')
const median = (numbers) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1]

const INSERT = { name: 'insert', text: 'insert into t0 (name) values ($1)', values: ['x'] }
const SELECT = { name: 'select', text: 'select name from t0 where id = $1', values: [1] }
/** Statements are planned in the first ones. */
const WARM_UP = 20
/** On which processor a server process comes to lie is luck, and worth more than what is measured: so there are many pairs. */
const PAIRS = 15

export async function measureTracking({ rowsUrl, plainUrl }, rounds) {
  const pairs = []
  for (let pair = 0; pair < PAIRS; pair++) pairs.push(await onePair([rowsUrl, plainUrl], Math.ceil(rounds / PAIRS)))
  const of = (pick) => median(pairs.map(pick))
  return {
    tracked: of(({ insert }) => insert[0]),
    plain: of(({ insert }) => insert[1]),
    ratio: of(({ insert }) => insert[0] / insert[1]),
    select: of(({ select }) => select[0] / select[1]),
  }
}

/** Medians of a pair of sessions, that take turns in who is first. */
async function onePair(urls, rounds) {
  const clients = await Promise.all(
    urls.map(async (url) => {
      const client = new pg.Client(url)
      await client.connect()
      return client
    }),
  )
  const times = { insert: [[], []], select: [[], []] }
  for (let round = 0; round < WARM_UP + rounds; round++) {
    for (const query of [INSERT, SELECT]) {
      for (const place of round % 2 === 0 ? [0, 1] : [1, 0]) {
        const startedAt = performance.now()
        await clients[place].query(query)
        if (round >= WARM_UP) times[query.name][place].push(performance.now() - startedAt)
      }
    }
  }
  for (const client of clients) await client.end()
  return { insert: times.insert.map(median), select: times.select.map(median) }
}
