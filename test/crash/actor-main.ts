/** The process that the crash tests stop and kill (see actors.ts): one run, from start to end, as a runner without tests has it. */
import { resolveConfig } from '../../src/config/resolve.ts'
import { isTestDbError, messageOf } from '../../src/errors.ts'
import { startRun } from '../../src/start-run.ts'
import type { ActorInput, ActorMessage } from './actors.ts'

const { root, options, handleSigterm } = JSON.parse(process.argv[2] ?? '') as ActorInput
const say = (message: ActorMessage): Promise<void> => new Promise((done) => process.send?.(message, () => done()))

// Runners have one; theirs ends the process too.
if (handleSigterm) process.on('SIGTERM', () => process.exit(143))

try {
  const run = await startRun(await resolveConfig({ cwd: root, options, env: {} }), { runner: 'crash', slots: 1 })
  await say({ name: 'started' })
  await run.close()
  await say({ name: 'closed' })
} catch (error) {
  process.exitCode = 1
  await say({ name: 'failed', code: isTestDbError(error) ? error.code : `no code: ${messageOf(error)}` })
}
process.disconnect()
