import fc from 'fast-check'
import { expect, test } from 'vitest'
import { comfortOf, leastOf, maxConnectionsFor, shareOf, usableOf } from '../../src/pools/budget.ts'
import { connectionLimit } from '../../src/pools/limits.ts'

test('what a server can give: reserved slots, other people and a tenth are left out', () => {
  expect(usableOf({ maxConnections: 100, reserved: 3, foreign: 0 })).toBe(87)
  expect(usableOf({ maxConnections: 60, reserved: 3, foreign: 10 })).toBe(41)
  expect(usableOf({ maxConnections: 20, reserved: 3, foreign: 40 })).toBe(0)
})

test.each([
  { what: 'plenty', free: 897, slots: 15, poolMax: 'auto', share: [10, 24, 1 + 15 * 25] },
  {
    what: 'a server with its defaults and seven workers',
    free: 87,
    slots: 7,
    poolMax: 'auto',
    share: [3, 10, 1 + 7 * 11],
  },
  { what: 'one roomy connection each', free: 8, slots: 1, poolMax: 'auto', share: [1, 6, 8] },
  { what: 'too little for two pools of one', free: 7, slots: 1, poolMax: 'auto', share: [1, 5, 6] },
  { what: 'sixteen workers on few connections', free: 41, slots: 16, poolMax: 'auto', share: [1, 2, 1 + 16 * 2] },
  { what: 'not one connection each', free: 32, slots: 16, poolMax: 'auto', share: undefined },
  { what: 'a number that fits', free: 87, slots: 2, poolMax: 5, share: [5, 14, 1 + 2 * 15] },
  { what: 'a number that fits once per database', free: 15, slots: 2, poolMax: 5, share: [5, 7, 1 + 2 * 7] },
  { what: 'a number that does not fit', free: 12, slots: 2, poolMax: 5, share: undefined },
  { what: 'nothing at all', free: 0, slots: 1, poolMax: 'auto', share: undefined },
] as const)('$what', ({ free, slots, poolMax, share }) => {
  const found = shareOf(free, { slots, poolMax, leased: true })
  expect(found && [found.poolMax, found.connectionLimit, found.connections]).toEqual(share)
})

test.each([
  { free: 87, poolMax: 'auto', share: [10, 1 + 4 * 10] },
  { free: 25, poolMax: 'auto', share: [6, 1 + 4 * 6] },
  { free: 25, poolMax: 6, share: [6, 1 + 4 * 6] },
  { free: 25, poolMax: 7, share: undefined },
  { free: 4, poolMax: 'auto', share: undefined },
] as const)('a shared database: $free free, pool.max $poolMax', ({ free, poolMax, share }) => {
  const found = shareOf(free, { slots: 4, poolMax, leased: false })
  expect(found && [found.poolMax, found.connections]).toEqual(share)
})

const needs = fc.record({
  slots: fc.integer({ min: 1, max: 200 }),
  poolMax: fc.oneof(fc.constant('auto' as const), fc.integer({ min: 1, max: 1000 })),
  leased: fc.boolean(),
})

test('a share is never more than what is free, nor less than a pool, and there is one exactly when the least fits', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 5_000 }), needs, (free, need) => {
      const share = shareOf(free, need)
      expect(share !== undefined).toBe(free >= leastOf(need))
      if (!share) return
      expect(share.connections).toBeLessThanOrEqual(free)
      expect(share.connections).toBeLessThanOrEqual(comfortOf(need))
      expect(share.poolMax).toBe(need.poolMax === 'auto' ? Math.min(10, share.poolMax) : need.poolMax)
      if (!need.leased) return
      expect(share.connectionLimit).toBeGreaterThan(share.poolMax)
      expect(share.connectionLimit).toBeLessThanOrEqual(connectionLimit(share.poolMax))
      // Never more sessions than were reserved: the run's own one, and on each database its limit.
      expect(1 + share.slots * share.connectionLimit).toBeLessThanOrEqual(share.connections)
    }),
  )
})

test('max_connections for a wish is the smallest that fulfils it', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 5_000 }),
      fc.integer({ min: 0, max: 20 }),
      fc.integer({ min: 0, max: 500 }),
      (wanted, reserved, foreign) => {
        const maxConnections = maxConnectionsFor(wanted, { reserved, foreign })
        expect(usableOf({ maxConnections, reserved, foreign })).toBeGreaterThanOrEqual(wanted)
        if (wanted > 0) expect(usableOf({ maxConnections: maxConnections - 1, reserved, foreign })).toBeLessThan(wanted)
      },
    ),
  )
})
