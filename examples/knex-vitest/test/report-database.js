// Only for `npm run demo`: notes for each test which worker and which database it ran on.
import { beforeEach } from 'vitest'

beforeEach(({ task }) => {
  task.meta.worker = process.env.VITEST_POOL_ID
  task.meta.database = new URL(process.env.DATABASE_URL).pathname.slice(1)
})
