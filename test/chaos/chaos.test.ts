/**
 * Random starts and kills on one server: every run that was not hit passes, every run that was says so clearly, and nothing
 * is left. A seed decides all of it; a failure prints it, and the log.
 *
 *   TESTDB_CHAOS_PAIRS=500 TESTDB_CHAOS_SEED=7 npx vitest run --project e2e test/chaos
 *
 * TESTDB_CHAOS_VERBOSE=1 prints the log as it grows.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { makeProject } from '../e2e/project.ts'
import { asAdmin, removeServers } from '../e2e/servers.ts'
import { isShort } from '../helpers/effort.ts'
import { Campaign } from './campaign.ts'
import { workspaceFiles } from './checkouts.ts'
import { compareContent } from './content.ts'
import { leftOnMachine, leftOnServer, segmentsNow } from './leftovers.ts'
import { planCampaign } from './plan.ts'
import { signal, withTemporary } from './processes.ts'

const wanted = process.env.TESTDB_CHAOS_PAIRS
const pairs = Number(wanted ?? (isShort ? 6 : 15))
/** In the ordinary test run time is short, so a slow machine does fewer; who asks for a number gets it. */
const budgetMs = wanted === undefined ? 25_000 : Number.POSITIVE_INFINITY
const seed = Number(process.env.TESTDB_CHAOS_SEED ?? 1)
/** A pair takes about two seconds on a quiet machine with two processors; the rest is for one that is not. */
const TIMEOUT_MS = 240_000 + pairs * 15_000

const linux = process.platform === 'linux'
if (!linux) console.warn('SKIPPED: the random campaign finds its processes in /proc, which only Linux has')

let cleanUp = async (): Promise<void> => undefined
afterAll(() => cleanUp())

test('a seed decides every step', () => {
  expect(planCampaign(seed, 50)).toEqual(planCampaign(seed, 50))
  expect(planCampaign(seed, 50)).not.toEqual(planCampaign(seed + 1, 50))
})

test.runIf(linux)(`${pairs} random starts and kills, seed ${seed}`, { timeout: TIMEOUT_MS }, async () => {
  const { root } = await makeProject('chaos', workspaceFiles())
  // Apart from everybody else's, so that what is left in it was left by us. Short: a socket's path has 107 bytes.
  const temporary = mkdtempSync(path.join(tmpdir(), 'chaos-'))
  chmodSync(temporary, 0o755)
  const place = { projectRoot: root }
  const campaign = new Campaign({ seed, pairs, budgetMs, root, temporary })
  cleanUp = async () => {
    campaign.stop()
    for (const { pid } of withTemporary(temporary)) signal(pid, 'SIGKILL')
    await removeServers(place).finally(() => rmSync(temporary, { recursive: true, force: true }))
  }

  const oldSegments = segmentsNow()
  const { begun, complaints, met, undisturbedMs } = await campaign.run()

  const layout = await campaign.server.layout()
  const found = [...complaints]
  if (layout === undefined) found.push('no server was ever started')
  else {
    found.push(...(await leftOnMachine(layout, temporary, campaign.server.postmastersSeen, oldSegments)))
    // The server sleeps by now; what starts it again is a run like any other.
    await asAdmin(place, async (session) => {
      found.push(...(await leftOnServer(session)), ...(await compareContent(session, root)))
    })
  }
  console.log(
    `${begun} of ${pairs} pairs, met: ${JSON.stringify(met)}, longest undisturbed runs (ms): ${JSON.stringify(undisturbedMs)}`,
  )
  const replay = `TESTDB_CHAOS_SEED=${seed} TESTDB_CHAOS_PAIRS=${pairs}`
  expect(found, `${replay}\n${found.join('\n')}\n${campaign.log.join('\n')}`).toEqual([])
})
