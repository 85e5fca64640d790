import { defineConfig } from 'vitest/config'

// The suffix tells a test's cost: `.test.ts` does no I/O, `.pg.test.ts` needs a real server,
// `.crash.test.ts` kills real processes, `e2e/` runs real runners on installed tarballs.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    maxWorkers: 2,
  },
})
