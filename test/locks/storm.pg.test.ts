import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { isTestDbError } from '../../src/errors.ts'
import { randomOf } from '../chaos/random.ts'
import { isShort } from '../helpers/effort.ts'
import { LockLab } from './lab.ts'

const SECTIONS = isShort ? 2_000 : 10_000
const SERVICES = 4
const KEYS = 6
const AT_ONCE = 40
/** How often a backend is ended (ms). */
const BLOW_MS = 25

let lab: LockLab
beforeAll(async () => {
  lab = await LockLab.open()
})
// Fails when a connection, a lock or a warning (of too many listeners) is left.
afterAll(() => lab.close())

test(`${SECTIONS} sections while their backends are ended: never two in one, each with its value or told that it was lost`, async () => {
  const seed = Number(process.env.TESTDB_TEST_SEED ?? Date.now() % 100_000)
  const random = randomOf(seed)
  const below = (limit: number): number => random.between(0, limit - 1)
  const services = Array.from({ length: SERVICES }, () => lab.locks({ max: 8, applicationName: 'storm' }))
  const inside = new Map<string, Set<AbortSignal>>()
  const problems: string[] = []
  const counts = { value: 0, lost: 0, blows: 0, overlaps: 0 }

  /** In it from its first line to its last, or until it knows that it has lost its lock. */
  const section = async (key: string, signal: AbortSignal, body: () => Promise<unknown>): Promise<void> => {
    const present = inside.get(key) ?? new Set()
    inside.set(key, present)
    const others = [...present].filter((other) => !other.aborted)
    if (others.length > 0) problems.push(`${others.length + 1} in ${key}`)
    if (present.size > others.length) counts.overlaps++
    present.add(signal)
    try {
      await body()
    } finally {
      present.delete(signal)
    }
  }
  const pause = async (): Promise<void> => {
    for (let turns = below(4); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve))
    if (below(50) === 0) await delay(below(5))
  }
  const call = async (number: number): Promise<void> => {
    const locks = services[below(SERVICES)] as (typeof services)[number]
    const key = `k${below(KEYS)}`
    const nested = below(8) === 0 ? `nested ${below(KEYS)}` : undefined
    const value = await locks.withXactLock({
      key,
      fn: async ({ signal }) => {
        await section(key, signal, async () => {
          await pause()
          if (nested === undefined) return
          await locks.withXactLock({ key: nested, fn: (own) => section(nested, own.signal, pause) })
        })
        return number
      },
    })
    if (value !== number) problems.push(`${number} gave ${value}`)
  }

  let next = 0
  const caller = async (): Promise<void> => {
    while (next < SECTIONS) {
      try {
        await call(next++)
        counts.value++
      } catch (error) {
        if (isTestDbError(error) && error.code === 'TESTDB_LOCK_LOST') counts.lost++
        else problems.push(String(error))
      }
    }
  }
  const startedAt = performance.now()
  let over = false
  const attack = async (): Promise<void> => {
    while (!over) {
      await delay(BLOW_MS)
      const pids = (await lab.backends('storm')).sort((a, b) => a - b)
      const pid = pids[below(pids.length)]
      if (pid === undefined) continue
      await lab.session.query('select pg_terminate_backend($1)', [pid])
      counts.blows++
    }
  }
  const attacker = attack()
  await Promise.all(Array.from({ length: AT_ONCE }, caller))
  over = true
  await attacker

  console.log(`seed ${seed}: ${JSON.stringify(counts)} in ${Math.round(performance.now() - startedAt)} ms`)
  expect(problems, `seed ${seed}`).toEqual([])
  expect(counts.value + counts.lost).toBe(SECTIONS)
  // Most blows hit somebody who holds or waits, or nothing was tested.
  expect(counts.lost).toBeGreaterThan(counts.blows / 4)
  expect(counts.blows).toBeGreaterThan(20)
})
