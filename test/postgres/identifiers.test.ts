import fc from 'fast-check'
import { expect, test } from 'vitest'
import { databaseName, ident, literal, qualified, slug } from '../../src/postgres/identifiers.ts'

test.each([
  ['shop', 'shop'],
  ['shop_api', 'shop_api'],
  ['a'.repeat(20), 'a'.repeat(20)],
])('%s is a word already', (text, word) => {
  expect(slug(text)).toBe(word)
})

test.each([
  ['upper case', 'Shop', /^shop_[0-9a-f]{6}$/],
  ['a dash', 'shop-api', /^shop_api_[0-9a-f]{6}$/],
  ['a scope', '@team/shop', /^team_shop_[0-9a-f]{6}$/],
  ['a long text', 'a'.repeat(21), /^a{13}_[0-9a-f]{6}$/],
  ['unicode', 'магазин', /^[0-9a-f]{6}$/],
  ['nothing', '', /^[0-9a-f]{6}$/],
  ['a cut at an underscore', `${'a'.repeat(12)}_${'b'.repeat(20)}`, /^a{12}_[0-9a-f]{6}$/],
  ['two underscores', 'a__b', /^a_b_[0-9a-f]{6}$/],
])('%s is changed and keeps a hash', (_what, text, pattern) => {
  expect(slug(text)).toMatch(pattern)
})

test('two different texts never become one word', () => {
  const words = new Map<string, string>()
  const text = fc.oneof(
    fc.string(),
    fc.string({ unit: fc.constantFrom('a', 'A', '_', '-', 'é') }),
    fc.constantFrom('', 'shop'),
  )
  fc.assert(
    fc.property(text, (one) => {
      // A word is a text as well: the word of "Shop" and the text that looks like it are two different ones.
      for (const each of [one, slug(one), slug(slug(one))]) {
        const other = words.get(slug(each))
        expect(other === undefined || other === each, `${JSON.stringify(other)} and ${JSON.stringify(each)}`).toBe(true)
        words.set(slug(each), each)
      }
    }),
    { numRuns: 500 },
  )
})

test('a word is short, lower-case ASCII, and has no double underscore', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      expect(slug(text)).toMatch(/^[a-z0-9]+(_[a-z0-9]+)*$/)
      expect(slug(text).length).toBeLessThanOrEqual(20)
    }),
  )
})

test('a database name that Postgres would cut is refused', () => {
  expect(databaseName('t', 'x'.repeat(54))).toHaveLength(63)
  expect(() => databaseName('t', 'x'.repeat(55))).toThrow('longer than 63 bytes')
  expect(() => databaseName('t', 'é'.repeat(30))).toThrow('longer than 63 bytes')
})

test('quoting', () => {
  expect(ident('a"b')).toBe('"a""b"')
  expect(literal(`a'b\\c`)).toBe(` E'a''b\\\\c'`)
  expect(qualified('My Schema', 'T')).toBe('"My Schema"."T"')
  expect(qualified(undefined, 'T')).toBe('"T"')
})
