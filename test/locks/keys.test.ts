import { expect, test } from 'vitest'
import { type LockKey, sqlLockKey } from '../../src/postgres/index.ts'

test('a text is the first 8 bytes of its SHA-256, as a signed number', () => {
  // printf abc | sha256sum: ba7816bf8f01cfea…
  const expected = BigInt.asIntN(64, 0xba7816bf8f01cfean)
  expect(sqlLockKey('abc')).toEqual({
    shown: '"abc"',
    arguments: `'${expected}'::bigint`,
    tag: { classid: 0xba7816bf, objid: 0x8f01cfea, objsubid: 1 },
  })
})

test.each<[LockKey, string, unknown]>([
  [5, `'5'::bigint`, { classid: 0, objid: 5, objsubid: 1 }],
  [-1n, `'-1'::bigint`, { classid: 0xffffffff, objid: 0xffffffff, objsubid: 1 }],
  [-(2n ** 63n), `'-9223372036854775808'::bigint`, { classid: 0x80000000, objid: 0, objsubid: 1 }],
  [[1, -2], `'1'::int, '-2'::int`, { classid: 1, objid: 0xfffffffe, objsubid: 2 }],
  [[-0, 2_147_483_647], `'0'::int, '2147483647'::int`, { classid: 0, objid: 2_147_483_647, objsubid: 2 }],
])('%s in SQL', (key, args, tag) => {
  expect(sqlLockKey(key)).toMatchObject({ arguments: args, tag })
})

test.each([
  ['', 'an empty text'],
  [1.5, '1.5, which is no safe integer'],
  [2 ** 53, '9007199254740992, which is no safe integer'],
  [Number.NaN, 'NaN, which is no safe integer'],
  [2n ** 63n, '9223372036854775808n, which does not fit in 64 bits'],
  [[1], 'an array of 1'],
  [[1, 2 ** 31], 'an array of 2'],
  [[1, '2'], 'an array of 2'],
  [undefined, 'a value of type undefined'],
  [null, 'null'],
  [{}, 'a value of type object'],
])('%s is no key', (key, shown) => {
  expect(() => sqlLockKey(key as LockKey)).toThrow(
    expect.objectContaining({ code: 'TESTDB_LOCK_KEY_INVALID', what: expect.stringContaining(shown) }),
  )
})
