import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.js'],
    pool: 'threads',
    maxWorkers: '100%',

    // These two lines are all that testdb needs: the first migrates and seeds a template once,
    // the second gives each worker its own copy and puts it back after every test.
    globalSetup: ['testdb/vitest'],
    setupFiles: ['testdb/vitest/setup', './test/report-database.js'],
  },
})
