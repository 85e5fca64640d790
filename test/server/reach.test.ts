/** Reaching a server under the start lock, with real locks in a real folder. */
import { existsSync, mkdtempSync, rmdirSync, rmSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, expect, test } from 'vitest'
import type { ServerFiles } from '../../src/server/owned/files.ts'
import { reach } from '../../src/server/owned/reach.ts'
import { tryStartLock } from '../../src/server/owned/start-lock.ts'
import { eventually } from '../helpers/wait.ts'

const root = mkdtempSync(path.join(tmpdir(), 'testdb-reach-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

async function filesOf(name: string): Promise<ServerFiles> {
  const folder = path.join(root, name)
  await mkdir(folder)
  const file = (one: string): string => path.join(folder, one)
  return {
    folder,
    lock: file('lock'),
    state: file('state'),
    keep: file('keep'),
    supervisorLog: file('log'),
  }
}

/** A server that is up when its state is there, and how many attach to it at the same moment. */
function serverOf(files: ServerFiles): { most: number; looks: number; attach(): Promise<string | undefined> } {
  let inside = 0
  const server = {
    most: 0,
    looks: 0,
    async attach() {
      server.looks++
      if (!existsSync(files.state)) return undefined
      server.most = Math.max(server.most, ++inside)
      // What connecting takes.
      await delay(40)
      inside--
      return 'attached'
    },
  }
  return server
}

const COUNT = 8

test('who has waited for the start goes in one at a time', async () => {
  const files = await filesOf('turns')
  const server = serverOf(files)
  const start = async (): Promise<string> => {
    // Once by each of all, and once more by the one that has the lock.
    await eventually('all wait', () => server.looks > COUNT)
    await writeFile(files.state, '')
    return 'started'
  }
  const all = await Promise.all(Array.from({ length: COUNT }, () => reach({ files, attach: server.attach, start })))
  expect(all.filter((one) => one === 'started')).toHaveLength(1)
  expect(server.most).toBe(1)
})

test('nobody waits for a holder that stands still while the server is up', async () => {
  const files = await filesOf('stuck')
  await writeFile(files.state, '')
  const holder = await tryStartLock(files)
  const server = serverOf(files)
  let looks = 0
  // Not at once: otherwise the fast path has it.
  const attach = async (): Promise<string | undefined> => (++looks === 1 ? undefined : await server.attach())
  const start = (): Promise<never> => Promise.reject(new Error('the lock was held'))
  expect(await reach({ files, attach, start })).toBe('attached')
  expect(await holder?.held()).toBe(true)
  await holder?.release()
})

test('what fails after somebody else has taken the lock over leads to another look, not to an error', async () => {
  const files = await filesOf('taken-over')
  let starts = 0
  const reached = await reach({
    files,
    attach: async () => (starts === 0 ? undefined : 'theirs'),
    async start() {
      starts++
      // As if this process had stood still until its lock was stale.
      rmdirSync(files.lock)
      const theirs = await tryStartLock(files)
      await theirs?.release()
      throw new Error('ENOENT: what I was making is gone')
    },
  })
  expect([reached, starts]).toEqual(['theirs', 1])
})

test('what fails under the lock is an error', async () => {
  const files = await filesOf('held')
  const start = (): Promise<never> => Promise.reject(new Error('no binaries'))
  await expect(reach({ files, attach: async () => undefined, start })).rejects.toThrow('no binaries')
})
