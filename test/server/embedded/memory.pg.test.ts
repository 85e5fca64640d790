/** Data in memory outlives its project; who starts next in memory removes what nobody can need any more. */
import { existsSync } from 'node:fs'
import { chown, mkdir, rm, utimes, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { layoutOf } from '../../../src/server/embedded/locations.ts'
import { isAlive, isRoot, type Lab, ORDINARY, openLab, postmasterOf } from '../../helpers/embedded.ts'
import { binaries } from '../../helpers/packages.ts'

let lab: Lab
const homes: string[] = []

beforeAll(async () => {
  lab = await openLab()
})
afterEach(async () => {
  for (const home of homes.splice(0)) await rm(home, { recursive: true, force: true })
})
afterAll(() => lab.close())

/** The folder in memory of that cache folder. */
function homeOf(cacheDir: string): string {
  const home = path.dirname(layoutOf(cacheDir, binaries.major).memoryCluster)
  homes.push(home)
  return home
}

async function startNext(): Promise<void> {
  await lab.module.startEmbedded(lab.options({ storage: 'memory' }))
}

test('a stopped one whose cache folder was deleted is removed, and no other', async () => {
  const gone = lab.options({ storage: 'memory' })
  const kept = lab.options({ storage: 'memory' })
  for (const options of [gone, kept]) {
    await lab.module.startEmbedded(options)
    await lab.module.stopEmbedded(options)
  }
  const [goneHome, keptHome] = [homeOf(gone.cacheDir), homeOf(kept.cacheDir)]
  expect([existsSync(goneHome), existsSync(keptHome)]).toEqual([true, true])
  await rm(gone.cacheDir, { recursive: true })
  await startNext()
  expect([existsSync(goneHome), existsSync(keptHome)]).toEqual([false, true])
})

test('one that runs is left alone although its cache folder was deleted', async () => {
  const options = lab.options({ storage: 'memory' })
  const server = await lab.module.startEmbedded(options)
  const before = await postmasterOf(server)
  const { pid = 0 } = await lab.status(options)
  await rm(options.cacheDir, { recursive: true })
  await startNext()
  expect([await isAlive(pid), await postmasterOf(server)]).toEqual([true, before])
  // It is found again by its data, and given back to the cache folder that is made anew.
  expect(await postmasterOf(await lab.module.startEmbedded(options))).toBe(before)
})

test('one that may run in another container is left alone until it gives no sign of life for a minute', async () => {
  const cacheDir = path.join(lab.root, 'of a container')
  const home = homeOf(cacheDir)
  const cluster = path.join(home, `pg${binaries.major}`)
  await mkdir(path.join(cluster, 'data'), { recursive: true })
  await writeFile(path.join(home, 'cache-folder'), cacheDir)
  await writeFile(path.join(cluster, 'data/postmaster.pid'), '7\n')
  const file = path.join(cluster, 'cluster.json')
  await writeFile(file, JSON.stringify({ name: 'testdb-x', password: 'x', boot: 'x', pids: 'pid:[1]' }))
  const beat = setInterval(() => void utimes(file, new Date(), new Date()).catch(() => undefined), 200)
  await startNext()
  clearInterval(beat)
  expect(existsSync(home)).toBe(true)
  const past = new Date(Date.now() - 61_000)
  await utimes(file, past, past)
  await startNext()
  expect(existsSync(home)).toBe(false)
})

test("what is not ours or does not say whose it is stays: another name, another user's, no note", async () => {
  const cacheDir = path.join(lab.root, 'nowhere')
  const home = homeOf(cacheDir)
  const others = [`${home}-more`, home.replace(/testdb-\d+/, 'testdb-12345'), home.replace(/.$/, 'x')]
  homes.push(...others)
  for (const folder of others) {
    await mkdir(folder)
    await writeFile(path.join(folder, 'cache-folder'), cacheDir)
  }
  await mkdir(home)
  await startNext()
  expect([home, ...others].map((folder) => existsSync(folder))).toEqual([true, true, true, true])
  await writeFile(path.join(home, 'cache-folder'), cacheDir)
  if (isRoot) {
    await chown(home, ORDINARY, ORDINARY)
    await startNext()
    expect(existsSync(home)).toBe(true)
    await chown(home, 0, 0)
  }
  await startNext()
  expect(existsSync(home)).toBe(false)
})
