/** Starting a run of any kind, and judging how it ended by what has hit it meanwhile. */
import { execa } from 'execa'
import { ERRORS } from '../../src/errors.ts'
import type { RunKind } from './plan.ts'

const COMMANDS: Readonly<Record<RunKind, readonly [command: string, ...args: string[]]>> = {
  vitest: ['vitest', 'run'],
  jest: ['jest'],
  run: ['testdb', 'run', '--', 'node', 'child.mjs'],
  script: ['node', 'script.mjs'],
  prune: ['testdb', 'prune'],
  reset: ['testdb', 'reset'],
}

/**
 * Whatever happens, a run has ended after this (ms): the longest pause, a server that takes its time to die, a busy machine. And
 * what Vitest takes, without testdb as well, when a worker is killed while it starts: a minute for the dead worker's first word,
 * perhaps for a second worker too, then `teardownTimeout` (30 s here) for an exit that has been.
 */
export const RUN_DEADLINE_MS = 200_000

/** What can be said to a run whose server died under it, or whose session was cut. */
const CODES_OF_LOSS: readonly string[] = [
  'TESTDB_SERVER_LOST',
  'TESTDB_SERVER_UNREACHABLE',
  'TESTDB_SERVER_START_FAILED',
  'TESTDB_LEASE_LOST',
  'TESTDB_RESET_FAILED',
  'TESTDB_LEADERSHIP_LOST',
]

/** How a migration fails whose own connection is lost, while its leader's is not (yet). */
const CONNECTION_LOST =
  /Connection terminated|terminating connection|is not queryable|ended unexpectedly|ECONN|EPIPE|57P0/

/** From the harmless to the deadly; the worst that a run has met counts. */
const SEVERITY = ['none', 'statement', 'session', 'server', 'signal'] as const
/**
 * `statement`: a session of the test itself was cut. `session`: one of testdb's was. `server`: its server died.
 * `signal`: one of its processes was sent one.
 */
export type Hit = (typeof SEVERITY)[number]

interface Ended {
  readonly exitCode: number | undefined
  /** Exit code or signal. */
  readonly end: string
  readonly timedOut: boolean
  readonly output: string
}

export class LiveRun {
  readonly name: string
  readonly kind: RunKind
  readonly pid: number
  readonly startedAt = Date.now()
  readonly ended: Promise<string[]>
  #worst: Hit = 'none'
  #living = true

  constructor(name: string, kind: RunKind, folder: string, env: Readonly<Record<string, string>>) {
    this.name = name
    this.kind = kind
    const [command, ...args] = COMMANDS[kind]
    const child = execa(command, args, {
      ...{
        cwd: folder,
        preferLocal: true,
        localDir: folder,
        env,
        extendEnv: false,
        stdin: 'ignore',
        all: true,
        reject: false,
      },
      ...{ timeout: RUN_DEADLINE_MS, killSignal: 'SIGKILL' },
      // A process group of its own, as a terminal or a CI job gives it one.
      detached: true,
    })
    this.pid = child.pid ?? 0
    this.ended = child.then(({ exitCode, signal, timedOut, all = '' }) => {
      this.#living = false
      return this.#judge({ exitCode, end: String(exitCode ?? signal), timedOut, output: all })
    })
  }

  get living(): boolean {
    return this.#living
  }

  get worst(): Hit {
    return this.#worst
  }

  hit(what: Hit): void {
    if (this.#living && SEVERITY.indexOf(what) > SEVERITY.indexOf(this.#worst)) this.#worst = what
  }

  /** Everything that is wrong with how it ended. */
  #judge({ exitCode, end, timedOut, output }: Ended): string[] {
    const seconds = ((Date.now() - this.startedAt) / 1000).toFixed(1)
    const complaints: string[] = []
    if (timedOut) complaints.push('did not end')
    if (output.includes('WRONG RESULT') && !this.#isExcused(output)) {
      complaints.push('saw another state than the migrated one')
    }
    if (this.#worst !== 'signal') complaints.push(...this.#judgeUnsignalled(exitCode, output))
    if (complaints.length === 0) return []
    const how = `exit ${end} after ${seconds} s, hit: ${this.#worst}`
    return [`${this.name}: ${complaints.join('; ')} (${how})\n${indent(output)}`]
  }

  /**
   * A worker that stands still in the middle of a test while the server crashes may see what the crash has left. That test fails
   * for two reasons, and the second one is the lost lease.
   */
  #isExcused(output: string): boolean {
    const titles = (what: string): string[] =>
      failures(output).flatMap(([title, text]) => (text.includes(what) ? [title] : []))
    const [lost, wrong] = [titles('TESTDB_LEASE_LOST'), titles('WRONG RESULT')]
    return this.#worst === 'server' && wrong.length > 0 && wrong.every((title) => lost.includes(title))
  }

  #judgeUnsignalled(exitCode: number | undefined, output: string): string[] {
    if (exitCode === 0) return []
    // Refusing is its answer while somebody migrates.
    if (this.kind === 'reset' && output.includes('TESTDB_MIGRATION_LOCKED')) return []
    if (this.#worst === 'none') return ['failed although nothing hit it']
    const complaints: string[] = []
    const codes = Object.keys(ERRORS).filter((code) => output.includes(`${code}: `))
    const expected = CONNECTION_LOST.test(output) ? [...CODES_OF_LOSS, 'TESTDB_MIGRATION_FAILED'] : CODES_OF_LOSS
    const unexpected = codes.filter((code) => !expected.includes(code))
    if (unexpected.length > 0) complaints.push(`failed with ${unexpected.join(', ')}`)
    // A script whose own statement fails may have nothing to ask of testdb after that.
    if (codes.length === 0 && !output.includes('USER STATEMENT FAILED')) complaints.push('failed without a code')
    const raw = rawErrors(output).filter((text) => !(text.includes('WRONG RESULT') && this.#isExcused(output)))
    if (raw.length > 0) complaints.push(`showed a raw error: ${raw[0]}`)
    return complaints
  }
}

/** Titles of failed tests and the first line of what failed; a test may have several. */
function failures(output: string): [title: string, text: string][] {
  // Jest writes the title, an empty line, and the message; Vitest the message right below.
  const found = output.matchAll(/^ *(?:● |FAIL {2})(.*)\n+\s*(\S.*)/gm)
  return [...found].map(([, title = '', text = '']) => [title, text])
}

/** Headlines of errors that have neither a code of ours nor come from the test's own statements. */
function rawErrors(output: string): string[] {
  const plain = /^(?:RAW ERROR |[A-Za-z]*[Ee]rror: )(?!.*(?:TESTDB_|USER STATEMENT)).*/gm
  // Jest writes the name of the test, an empty line, and the message.
  const jest = /^ *● .*\n\n\s*(?!.*(?:TESTDB_|USER STATEMENT))(\S.*)/gm
  return [...(output.match(plain) ?? []), ...[...output.matchAll(jest)].map(([, message = '']) => message)]
}

const indent = (text: string): string =>
  text
    .split('\n')
    .slice(0, 120)
    .map((line) => `    | ${line}`)
    .join('\n')
