/** A test has failed: tells what it had changed, before the reset takes it away, and keeps its database if that is wanted. */
import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { type RunContext, testTarget } from '../databases/context.ts'
import type { WorkerDatabase } from '../databases/database.ts'
import { isPgMem } from '../databases/pg-mem-database.ts'
import { messageOf } from '../errors.ts'
import { formatUrl, type Session, sessionsOf } from '../postgres/index.ts'
import { describePostmortem, type Postmortem } from '../report/postmortem.ts'
import type { HeldDatabase, WorkerContext } from './worker.ts'

export interface FailedTest {
  readonly name: string
  readonly file: string
  /** The names of the blocks around it, from the outermost: tests in different ones may have the same name. */
  readonly blocks?: readonly string[] | undefined
}

/** Rows of each kind and table in the JSON. */
const CAP = 100
/** Bytes of a file's name that tell what it is about: with the rest of it, what every file system takes. */
const NAME_BYTES = 120

export async function reportFailure(context: WorkerContext, database: HeldDatabase, test: FailedTest): Promise<void> {
  if (isPgMem(context)) return
  for (const one of [context, ...(context.others ?? [])]) {
    const own = (database as WorkerDatabase).named[one.name]
    if (own) await reportOne(one, own, test)
  }
}

async function reportOne(context: RunContext, database: WorkerDatabase, test: FailedTest): Promise<void> {
  const { lease } = database
  if (!lease || (!context.keepOnFailure && !lease.strategy.changes)) return
  try {
    if (context.reset === 'rollback' && (await isInTransaction(database, lease.session))) {
      return print(`"${test.name}" failed; what it wrote was in a transaction, so there is nothing to keep`)
    }
    const changes = await lease.changes(CAP).catch((error: unknown) => {
      if (!context.keepOnFailure) throw error
      print(`what "${test.name}" had changed could not be told: ${messageOf(error)}`)
      return undefined
    })
    const kept = context.keepOnFailure ? placeOf(context, await lease.keep()) : undefined
    const { name, file, blocks } = test
    const postmortem = { test: name, blocks, file, database: database.name, changes, kept }
    for (const line of describePostmortem(postmortem, writeJson(context, postmortem))) print(line)
  } catch (error) {
    // The test has failed for a reason of its own, which counts.
    print(`what "${test.name}" had changed could not be told: ${messageOf(error)}`)
  }
}

/** Whether the test has worked with `db`. Those in Jest have none: what they write is there for everybody. */
async function isInTransaction({ name, connection }: WorkerDatabase, session: Session): Promise<boolean> {
  const sessions = await sessionsOf(session, name)
  return sessions.some(
    ({ applicationName, state }) => applicationName === connection.application_name && state !== 'idle',
  )
}

/** Without the password, which no output of a test may have. */
function placeOf(context: RunContext, name: string): string {
  const target = { ...testTarget(context, name), password: undefined, ssl: undefined }
  return `${formatUrl(target)} (with its password: npx testdb url ${name})`
}

const print = (line: string): void => void process.stderr.write(`testdb: ${line}\n`)

function writeJson({ projectRoot, name }: RunContext, postmortem: Postmortem): string | undefined {
  if (!postmortem.changes || postmortem.changes.length === 0) return undefined
  const folder = join(projectRoot, 'node_modules', '.cache', 'testdb-failures')
  const place = relative(projectRoot, postmortem.file)
  const file = join(folder, fileName([...(name === 'main' ? [] : [name]), place], postmortem))
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

/** The hash tells those apart that differ in what can not be a part of a file's name. */
function fileName(place: readonly string[], { blocks = [], test }: Pick<Postmortem, 'blocks' | 'test'>): string {
  const names = [...place, ...blocks, test]
  let readable = ''
  // The end says most.
  for (const character of [...names.join(' ').replace(/[^\p{L}\p{N}.-]+/gu, '-')].reverse()) {
    if (Buffer.byteLength(character + readable) > NAME_BYTES) break
    readable = character + readable
  }
  const hash = createHash('sha256').update(JSON.stringify(names)).digest('hex').slice(0, 8)
  return `${readable}-${hash}.json`
}
