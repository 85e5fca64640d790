// What code bases do that share one database: free the lock, migrate, and try again when that fails.
import { createRequire } from 'node:module'
import { setTimeout as delay } from 'node:timers/promises'
import { act, LAST_TABLE } from './say.mjs'

const TRIES = Number(process.env.STORM_TRIES ?? 5)
const PAUSE_MS = 2_000

const require = createRequire(`${process.cwd()}/package.json`)
const knex = require('knex')({ ...require('./knexfile.js'), log: { warn() {}, error() {} } })

await act(async () => {
  try {
    for (let attempt = 1; ; attempt++) {
      try {
        if (TRIES > 1) await knex.migrate.forceFreeMigrationsLock()
        await knex.migrate.latest()
        break
      } catch (error) {
        if (attempt === TRIES) throw error
        await delay(PAUSE_MS)
      }
    }
    await knex(LAST_TABLE).count()
  } finally {
    await knex.destroy()
  }
})
