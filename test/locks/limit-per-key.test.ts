import fc from 'fast-check'
import { expect, test } from 'vitest'
import { limitPerKey } from '../../src/locks/limit-per-key.ts'
import { errorOf } from '../helpers/wait.ts'
import { gate } from './gate.ts'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('as many as allowed run, the others go on in their order', async () => {
  const limit = limitPerKey<string>({ max: 2 })
  const gates = [gate(), gate(), gate(), gate()]
  const begun: number[] = []
  const calls = gates.map(({ promise }, i) =>
    limit('a', async () => {
      begun.push(i)
      await promise
      return i
    }),
  )
  await turn()
  expect([begun, limit.active('a'), limit.waiting('a'), limit.size]).toEqual([[0, 1], 2, 2, 1])
  gates[1]?.open()
  await calls[1]
  await turn()
  expect([begun, limit.active('a'), limit.waiting('a')]).toEqual([[0, 1, 2], 2, 1])
  for (const { open } of gates) open()
  expect(await Promise.all(calls)).toEqual([0, 1, 2, 3])
  expect([begun, limit.active('a'), limit.waiting('a'), limit.size]).toEqual([[0, 1, 2, 3], 0, 0, 0])
})

test('keys do not wait for each other', async () => {
  const limit = limitPerKey<number>({ max: 1 })
  const { promise, open } = gate()
  const first = limit(1, () => promise)
  expect(await limit(2, () => 'two')).toBe('two')
  expect([limit.active(1), limit.active(2), limit.size]).toEqual([1, 0, 1])
  open()
  await first
})

test('who comes when too many wait is told so at once', async () => {
  const limit = limitPerKey<string>({ max: 1, maxWaiting: 1 })
  const { promise, open } = gate()
  const accepted = [limit('a', () => promise), limit('a', () => 'waited')]
  expect(await errorOf(limit('a', () => 'never'))).toMatchObject({
    code: 'TESTDB_LIMIT_REACHED',
    details: { retryable: true, max: 1, maxWaiting: 1, active: 1, waiting: 1 },
  })
  open()
  expect(await Promise.all(accepted)).toEqual([undefined, 'waited'])
  expect(await limit('a', () => 'again')).toBe('again')
})

test('a call that throws, also at once, gives its place back', async () => {
  const limit = limitPerKey<string>({ max: 1 })
  const mine = new Error('mine')
  const thrown = limit('a', () => {
    throw mine
  })
  const next = limit('a', () => 'next')
  expect(await errorOf(thrown)).toBe(mine)
  expect([await next, limit.size]).toEqual(['next', 0])
})

test.each([0, -1, 1.5, Number.NaN, '5' as unknown as number])('max %s is refused', (max) => {
  expect(() => limitPerKey({ max })).toThrow('max: expected an integer from 1')
})

test.each([-1, 0.5, Number.NaN])('maxWaiting %s is refused', (maxWaiting) => {
  expect(() => limitPerKey({ max: 1, maxWaiting })).toThrow('maxWaiting: expected an integer from 0, or Infinity')
})

/** How it is usually written: the number is read before the wait and written back after it. */
function usual(max: number) {
  const active = new Map<string, number>()
  const limit = async (key: string, fn: () => Promise<void>): Promise<void> => {
    const n = active.get(key) ?? 0
    if (n >= max) throw new Error('busy')
    active.set(key, n + 1)
    try {
      await fn()
    } finally {
      active.set(key, n)
    }
  }
  return Object.assign(limit, { active: (key: string) => active.get(key) ?? 0 })
}

test.each([
  ['the usual counter', usual(5), 1],
  ['ours', limitPerKey<string>({ max: 5 }), 0],
])('overlapping calls: what %s says when all have ended', async (_, limit, expected) => {
  const [first, second] = [gate(), gate()]
  const calls = [limit('a', () => first.promise), limit('a', () => second.promise)]
  first.open()
  await calls[0]
  // The first has written 0, as it had read it, though the second runs.
  expect(limit.active('a')).toBe(1 - expected)
  second.open()
  await calls[1]
  // The second has written 1, as it had read it, though nobody runs.
  expect(limit.active('a')).toBe(expected)
})

test('whatever starts, ends and throws in whatever order: never more than allowed, and nothing is left', async () => {
  const step = fc.oneof(
    fc.record({ what: fc.constant('start' as const), key: fc.constantFrom('a', 'b', 'c'), throws: fc.boolean() }),
    fc.record({ what: fc.constant('end' as const), which: fc.nat(20) }),
  )
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 3 }), fc.array(step, { maxLength: 40 }), async (max, steps) => {
      const limit = limitPerKey<string>({ max })
      const active = new Map<string, number>()
      const running: (() => void)[] = []
      const calls: Promise<unknown>[] = []
      const order: number[] = []
      const add = (key: string, by: number): void => void active.set(key, (active.get(key) ?? 0) + by)
      const check = (): void => {
        for (const [key, count] of active) {
          expect(count).toBeLessThanOrEqual(max)
          expect(limit.active(key)).toBe(count)
        }
      }
      for (const one of steps) {
        if (one.what === 'start') {
          const number = calls.length
          const call = limit(one.key, async () => {
            add(one.key, 1)
            order.push(number)
            const { promise, open } = gate()
            running.push(open)
            await promise
            add(one.key, -1)
            if (one.throws) throw new Error('thrown')
          })
          calls.push(call.catch(() => undefined))
        } else running.splice(one.which % Math.max(1, running.length), 1)[0]?.()
        await turn()
        check()
      }
      while (running.length > 0) {
        running.shift()?.()
        await turn()
        check()
      }
      await Promise.all(calls)
      expect(order.length).toBe(calls.length)
      expect([limit.size, ...active.values()].every((count) => count === 0)).toBe(true)
    }),
    { numRuns: 150 },
  )
})

test.each([
  [{ max: '10' }, 'max: expected an integer from 1, got "10"'],
  [{ max: 1, maxWaitng: 3 }, 'maxWaitng: unknown option; accepted: max, maxWaiting'],
  [undefined, 'options: expected an object such as { max: 5 }, got a value of type undefined'],
  [null, 'options: expected an object such as { max: 5 }, got null'],
])('%j is refused', (options, problem) => {
  expect(() => limitPerKey(options as never)).toThrow(
    expect.objectContaining({ code: 'TESTDB_CONFIG_INVALID', details: { problems: [problem] } }),
  )
})
