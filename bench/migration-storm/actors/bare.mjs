// What no tool could do without: clones the sealed template and asks the clone something. No lease, no reset, no registry.
import { createRequire } from 'node:module'
import { act, LAST_TABLE } from './say.mjs'

const { Client } = createRequire(import.meta.url)('pg')
const { STORM_URL, STORM_TEMPLATE } = process.env

async function ask(database, sql) {
  const client = new Client({ connectionString: new URL(database, STORM_URL).href })
  await client.connect()
  await client.query(sql)
  await client.end()
}

await act(async () => {
  const name = `bare_${process.pid}`
  await ask('postgres', `create database ${name} template ${STORM_TEMPLATE} strategy file_copy`)
  await ask(name, `select count(*) from ${LAST_TABLE}`)
})
