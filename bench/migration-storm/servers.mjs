// The servers of the bench: the same embedded Postgres with the same settings for both sides, each in a cache folder of its own.
import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const CLI = fileURLToPath(new URL('../../dist/cli.mjs', import.meta.url))
const require = createRequire(import.meta.url)

export function serverIn(home, root, name) {
  const cache = join(home, name)
  const env = { TESTDB_CACHE_DIR: cache, TESTDB_IDLE: '60000' }
  const testdb = (...args) =>
    execFileSync(process.execPath, [CLI, ...args], { cwd: root, env: { ...process.env, ...env }, encoding: 'utf8' })
  const status = () => JSON.parse(testdb('status', '--json')).servers[0]
  const connect = async () => {
    // The file that testdb itself finds its server by.
    const { port, password } = JSON.parse(
      readFileSync(join(cache, `pg${status().embedded.major}`, 'state.json'), 'utf8'),
    )
    const url = (database) => `postgres://postgres:${password}@127.0.0.1:${port}/${database}`
    const { Client } = require('pg')
    const client = new Client({ connectionString: url('postgres') })
    await client.connect()
    return { client, url }
  }
  return {
    env,
    status,
    up: () => testdb('up'),
    /** Stops it and removes its data, wherever it lies. */
    remove() {
      const { embedded } = status()
      testdb('down', '--force')
      if (embedded?.storage === 'memory') rmSync(join(embedded.dataDir, '../..'), { recursive: true, force: true })
      rmSync(cache, { recursive: true, force: true })
    },
    /** Makes an empty database and returns its URL. */
    async freshDatabase(database) {
      const { client, url } = await connect()
      await client.query(`drop database if exists ${database} with (force)`)
      await client.query(`create database ${database}`)
      await client.end()
      return url(database)
    },
    /** Where the one template of the server is. */
    async template() {
      const { client, url } = await connect()
      const { rows } = await client.query(`select name from testdb.templates where state = 'sealed'`)
      await client.end()
      return { STORM_URL: url('postgres'), STORM_TEMPLATE: rows[0].name }
    },
  }
}
