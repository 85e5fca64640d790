// How long somebody waits after what they wait for has happened, and what the waiting costs the server.
//
//   npm run bench:wait -- [--waiters 20] [--rounds 4] [--json]
//
// A row becomes ready at a random moment; each waiter goes on when it has seen it. Ways: LISTEN and one look (as testdb waits for its
// leader: listen first, then look, then wait), a retry loop of two seconds, a poll every 100 ms. A waiter has a connection of its own.
import { createRequire } from 'node:module'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { openServer, percentile } from '../locks/server.mjs'

const pg = createRequire(import.meta.url)('pg')
const { values } = parseArgs({
  options: {
    waiters: { type: 'string', default: '20' },
    rounds: { type: 'string', default: '4' },
    json: { type: 'boolean', default: false },
  },
})
const waiters = Number(values.waiters)
const rounds = Number(values.rounds)

const server = await openServer('create table things (id int primary key, ready boolean not null default false)')
const open = async () => {
  const client = new pg.Client(server.url)
  await client.connect()
  return client
}
const writer = await open()
const clients = await Promise.all(Array.from({ length: waiters }, open))

let queries = 0
const isReady = async (client, id) => {
  queries++
  const { rows } = await client.query('select ready from things where id = $1', [id])
  return rows[0].ready
}
const poll = (ms) => async (client, id) => {
  while (!(await isReady(client, id))) await delay(ms)
}

const WAYS = {
  'NOTIFY wakes': async (client, id) => {
    let wake
    const woken = new Promise((resolve) => {
      wake = ({ payload }) => payload === String(id) && resolve()
    })
    client.on('notification', wake)
    queries++
    await client.query('listen things')
    if (!(await isReady(client, id))) {
      await woken
      await isReady(client, id)
    }
    client.off('notification', wake)
  },
  'retry every 2 s': poll(2_000),
  'poll every 100 ms': poll(100),
}

const results = []
let id = 0
try {
  for (const [way, wait] of Object.entries(WAYS)) {
    const late = []
    queries = 0
    for (let round = 0; round < rounds; round++) {
      const thing = ++id
      await writer.query('insert into things (id) values ($1)', [thing])
      let readyAt = 0
      const all = clients.map(async (client) => {
        await wait(client, thing)
        late.push(performance.now() - readyAt)
      })
      // As long as a migration takes, and at no fixed place between two looks.
      await delay(1_000 + Math.random() * 2_000)
      readyAt = performance.now()
      await writer.query(`begin; update things set ready = true where id = ${thing}; notify things, '${thing}'; commit`)
      await Promise.all(all)
    }
    results.push({
      way,
      p50: percentile(late, 0.5),
      p95: percentile(late, 0.95),
      queries: queries / rounds / waiters,
    })
  }
} finally {
  for (const client of [writer, ...clients]) await client.end()
  await server.close()
}

if (values.json) console.log(JSON.stringify({ waiters, rounds, results }, null, 2))
else {
  console.log(`\n${waiters} waiters, ${rounds} rounds; the time begins before the statement that makes the row ready\n`)
  console.log(
    `  ${'way'.padEnd(20)}${'p50'.padStart(13)}${'p95'.padStart(13)}${'× NOTIFY'.padStart(10)}  queries of a waiter`,
  )
  for (const { way, p50, p95, queries: asked } of results) {
    const ms = (value) => `${value.toFixed(1)} ms`.padStart(13)
    console.log(
      `  ${way.padEnd(20)}${ms(p50)}${ms(p95)}${(p50 / results[0].p50).toFixed(1).padStart(10)}  ${asked.toFixed(1)}`,
    )
  }
}
