/** A test has failed: tells what it had changed, before the reset takes it away, and keeps its database if that is wanted. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { type RunContext, testTarget } from '../databases/context.ts'
import type { WorkerDatabase } from '../databases/database.ts'
import { messageOf } from '../errors.ts'
import { formatUrl } from '../postgres/index.ts'
import { describePostmortem, type Postmortem } from '../report/postmortem.ts'

export interface FailedTest {
  readonly name: string
  readonly file: string
}

/** Rows of each kind and table in the JSON. */
const CAP = 100

export async function reportFailure(context: RunContext, database: WorkerDatabase, test: FailedTest): Promise<void> {
  const { lease } = database
  if (!lease || (!context.keepOnFailure && !lease.strategy.changes)) return
  if (context.reset === 'rollback') {
    return print(`"${test.name}" failed; what it wrote was in a transaction, so there is nothing to keep`)
  }
  try {
    const changes = await lease.changes(CAP)
    const kept = context.keepOnFailure ? placeOf(context, await lease.keep()) : undefined
    const postmortem = { test: test.name, file: test.file, database: database.name, changes, kept }
    for (const line of describePostmortem(postmortem, writeJson(context, postmortem))) print(line)
  } catch (error) {
    // The test has failed for a reason of its own, which counts.
    print(`what "${test.name}" had changed could not be told: ${messageOf(error)}`)
  }
}

/** Without the password, which no output of a test may have. */
function placeOf(context: RunContext, name: string): string {
  const target = { ...testTarget(context, name), password: undefined, ssl: undefined }
  return `${formatUrl(target)} (with its password: npx testdb url ${name})`
}

const print = (line: string): void => void process.stderr.write(`testdb: ${line}\n`)

function writeJson({ projectRoot }: RunContext, postmortem: Postmortem): string | undefined {
  if (!postmortem.changes || postmortem.changes.length === 0) return undefined
  const folder = join(projectRoot, 'node_modules', '.cache', 'testdb-failures')
  const name = `${relative(projectRoot, postmortem.file)} ${postmortem.test}`
    .replace(/[^\p{L}\p{N}.-]+/gu, '-')
    .slice(-150)
  const file = join(folder, `${name}.json`)
  try {
    mkdirSync(folder, { recursive: true })
    // A URL has a password.
    writeFileSync(file, `${JSON.stringify({ ...postmortem, kept: undefined }, null, 2)}\n`)
    return relative(process.cwd(), file)
  } catch {
    // A folder that can not be written to; the lines are there.
    return undefined
  }
}
