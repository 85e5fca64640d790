// Preloaded into every process and thread of a measured run: writes when testdb reached what. See main.mjs.
import { subscribe } from 'node:diagnostics_channel'
import { appendFileSync } from 'node:fs'
import { performance } from 'node:perf_hooks'

const now = () => performance.timeOrigin + performance.now()
const note = (event) => appendFileSync(process.env.BENCH_TIMELINE, `${JSON.stringify(event)}\n`)

const place = process.env.VITEST_POOL_ID ? 'worker' : 'main'
for (const name of ['server.started', 'template.reused', 'template.built', 'database.acquired', 'database.reset']) {
  subscribe(`testdb:${name}`, (payload) => note({ name, place, at: now(), ...payload }))
}
subscribe('testdb:step.reached', ({ step }) => note({ name: step, place, at: now() }))
