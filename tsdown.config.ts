import { defineConfig } from 'tsdown'

export default defineConfig({
  entry: {
    index: 'src/index.ts',
    cli: 'src/cli/main.ts',
    supervisor: 'src/server/embedded/supervisor.ts',
    migrators: 'src/migrators/index.ts',
    vitest: 'src/runners/vitest/global-setup.ts',
    'vitest-setup': 'src/runners/vitest/setup.ts',
    'vitest-plugin': 'src/runners/vitest/plugin.ts',
    'vitest-fixtures': 'src/runners/vitest/fixtures.ts',
    jest: 'src/runners/jest/global-setup.ts',
    'jest-teardown': 'src/runners/jest/global-teardown.ts',
    'jest-setup': 'src/runners/jest/setup.ts',
    'jest-hooks': 'src/runners/jest/hooks.ts',
  },
  format: ['esm', 'cjs'],
  platform: 'node',
  target: 'node20.19',
  dts: true,
  shims: true,
  clean: true,
})
