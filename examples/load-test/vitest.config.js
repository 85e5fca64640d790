import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.js'],
    // One after the other: a load test wants the machine for itself.
    maxWorkers: 1,
    testTimeout: 180_000,
    globalSetup: ['testdb/vitest'],
    setupFiles: ['testdb/vitest/setup'],
  },
})
