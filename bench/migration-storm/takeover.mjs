// Kills the leader in the middle of a migration, again and again, and measures how soon another process leads.
import { setTimeout as delay } from 'node:timers/promises'
import { letGo, now, start } from './processes.mjs'

/** Processes that wait when the leader dies; the more there are, the sooner one of them looks. */
const FOLLOWERS = 3
const DEADLINE_MS = 30_000

export async function takeovers(rounds, { root, env }) {
  const times = []
  for (let round = 1; round <= rounds; round++)
    times.push(await takeover({ root, env: { ...env, STORM_ROUND: String(round) } }))
  return { followers: FOLLOWERS, times }
}

async function takeover(options) {
  const processes = Array.from({ length: FOLLOWERS + 1 }, () => start('testdb', options))
  try {
    await letGo(processes)
    const leader = await within(Promise.race(processes.map((one) => one.said('migration.started').then(() => one))))
    const followers = processes.filter((one) => one !== leader)
    await within(Promise.all(followers.map((one) => one.said('leader.waiting'))))
    // Not always at the same moment after a look of the followers.
    await delay(Math.random() * 500)
    const killedAt = now()
    leader.child.kill('SIGKILL')
    return (await within(Promise.race(followers.map((one) => one.said('leader.elected'))))) - killedAt
  } finally {
    for (const { child } of processes) child.kill('SIGKILL')
    await Promise.all(processes.map(({ ended }) => ended))
  }
}

function within(promise) {
  const late = delay(DEADLINE_MS, undefined, { ref: false }).then(() => {
    throw new Error(`the takeover did not get there within ${DEADLINE_MS / 1000} s`)
  })
  return Promise.race([promise, late])
}
