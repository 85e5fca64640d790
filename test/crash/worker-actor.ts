/** The process that the lease's crash tests stop and kill: one worker, from taking a database to giving it back. */
import { acquireLease } from '../../src/databases/allocator.ts'
import type { RunContext } from '../../src/databases/context.ts'
import { acquireSchema } from '../../src/databases/schemas/acquire.ts'
import { isTestDbError, messageOf } from '../../src/errors.ts'
import { inSchema, withSession } from '../../src/postgres/index.ts'

export interface WorkerInput {
  readonly context: RunContext
  readonly slot: string
  /** What its test writes. */
  readonly sql: string
  /** True: the worker takes the database twice, as for two files. */
  readonly twice: boolean
  /** True: the database is replaced after the test instead of put back. */
  readonly replace: boolean
}

const input = JSON.parse(process.argv[2] ?? '') as WorkerInput
const say = (name: string): Promise<void> => new Promise((done) => process.send?.(name, () => done()))

async function oneFile(): Promise<void> {
  const { context, slot, sql, replace } = input
  const lease = await (context.schemas ? acquireSchema : acquireLease)(context, slot)
  const { user, password } = context.role
  const role = { ...context.admin, user, password }
  const target = context.schemas ? inSchema(role, lease.name) : { ...role, database: lease.name }
  await withSession(target, { applicationName: 'test' }, (session) => session.query(sql))
  if (replace) await lease.replace()
  else await lease.reset()
  await lease.release()
}

try {
  if (input.twice) await oneFile()
  await oneFile()
  await say('done')
} catch (error) {
  await say(isTestDbError(error) ? error.code : `no code: ${messageOf(error)}`)
}
process.disconnect()
