import { existsSync } from 'node:fs'
import { defineConfig } from 'tsdown'

/** What is imported inside Jest's sandbox, or by CommonJS configuration files, is built as CommonJS too. */
const both = {
  index: 'src/index.ts',
  migrators: 'src/migrators/index.ts',
  locks: 'src/locks/index.ts',
  pools: 'src/pools/index.ts',
  notify: 'src/notify/index.ts',
  load: 'src/load/index.ts',
  jest: 'src/runners/jest/global-setup.ts',
  'jest-teardown': 'src/runners/jest/global-teardown.ts',
}

const esmOnly = {
  ...(existsSync('src/cli/main.ts') ? { cli: 'src/cli/main.ts' } : {}),
  supervisor: 'src/server/supervisor.ts',
  vitest: 'src/runners/vitest/global-setup.ts',
  'vitest-setup': 'src/runners/vitest/setup.ts',
  'vitest-plugin': 'src/runners/vitest/plugin.ts',
  'vitest-fixtures': 'src/runners/vitest/fixtures.ts',
}

const inSandbox = {
  'jest-acquire': 'src/runners/jest/acquire.ts',
  'jest-setup': 'src/runners/jest/setup.ts',
  'jest-db': 'src/runners/jest/db.ts',
}

/** Jest answers this name itself, and only inside its sandbox. */
const external = ['@jest/globals']

const common = { platform: 'node', external, target: 'node20.19', dts: true, shims: true, clean: false } as const

export default defineConfig([
  { ...common, format: 'esm', entry: { ...both, ...esmOnly } },
  { ...common, format: 'cjs', entry: { ...both, ...inSandbox } },
])
