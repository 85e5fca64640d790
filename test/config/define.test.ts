import { expect, test } from 'vitest'
import { defineConfig } from '../../src/config/define.ts'

test('defineConfig returns what it is given, objects and functions', () => {
  const config = { reset: 'clone' } as const
  const later = () => config
  expect([defineConfig(config), defineConfig(later)]).toEqual([config, later])
})

// Checked by `tsc`: an unused @ts-expect-error is an error.
test('a mistake is seen by the compiler', () => {
  // @ts-expect-error: no such key.
  defineConfig({ isolaton: 'shared' })
  // @ts-expect-error: no such key beside a right one, which a generic parameter would let pass.
  defineConfig({ reset: 'clone', isolaton: 'shared' })
  // @ts-expect-error: no such value.
  defineConfig({ reset: 'row' })
  defineConfig(async () => ({ pool: { max: 3 } }))
})
