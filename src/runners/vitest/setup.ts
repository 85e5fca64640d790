/**
 * `setupFiles: ['testdb/vitest/setup']`: leases the worker's database before the test file is imported, so that code which
 * reads `process.env.DATABASE_URL` while it loads finds it, and puts the database back after each test.
 */
import { expect, inject } from 'vitest'
import { nameTestFile } from '../guards/watch.ts'
import { contextOf } from './injected.ts'
import { useDatabasePerFile } from './per-file.ts'
import { useDatabasePerTest } from './per-test.ts'

const { context, workerStays } = contextOf(inject('testdb'))

if (context.scope === 'test') useDatabasePerTest(context)
else await useDatabasePerFile(context, workerStays)
nameTestFile(expect.getState().testPath)
