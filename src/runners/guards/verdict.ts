/** What the guards have to say of one test or file, with the levels of the configuration: what is printed, what fails it. */
import { TestDbError } from '../../errors.ts'
import { type Finding, publish } from '../../events.ts'
import type { Found } from '../../guards/found.ts'
import type { GuardLevel, GuardLevels, GuardName } from '../../guards/levels.ts'
import { isLogged } from '../../report/observe.ts'
import { saidBefore } from './said-once.ts'

export interface About {
  readonly test: string | undefined
  readonly file: string | undefined
}

export interface RaiseOptions {
  /** A warning with this text is printed once in the whole run. */
  readonly once?: (found: Found) => string
  /** Where the workers of the run agree on that. */
  readonly folder?: string | undefined
}

export class Verdict {
  readonly #levels: GuardLevels
  readonly #about: () => About
  readonly #errors: { readonly finding: Finding; readonly advice: readonly string[] }[] = []
  #refusal: TestDbError | undefined

  constructor(levels: GuardLevels, about: () => About) {
    this.#levels = levels
    this.#about = about
  }

  levelOf(guard: GuardName): GuardLevel {
    return guard === 'manyQueries' ? (this.#levels.manyQueries?.level ?? 'off') : this.#levels[guard]
  }

  raise(guard: GuardName, found: readonly Found[], { once, folder }: RaiseOptions = {}): void {
    const level = this.levelOf(guard)
    if (level === 'off') return
    for (const one of found) {
      const { message, details, advice } = one
      const finding: Finding = { guard, level, ...this.#about(), message, details }
      if (level === 'warn' && once && saidBefore(folder, `${guard} ${once(one)}`)) continue
      publish('finding.raised', finding)
      if (level === 'error') this.#errors.push({ finding, advice })
      else print(`${guard}: ${message}`, advice)
    }
  }

  /** `told`: it was printed already, so what fails the file is short. */
  refuse(explained: TestDbError, told?: TestDbError): void {
    const level = this.levelOf('connectionLimit')
    if (level === 'off') return
    const { message, what, details } = explained
    publish('finding.raised', { guard: 'connectionLimit', level, ...this.#about(), message: what, details })
    if (level === 'warn' || told) print(message)
    if (level === 'error') this.#refusal ??= told ?? explained
  }

  /** What was found of a test when its result was given already: it is the file's. */
  adopt(late: Verdict): void {
    this.#errors.push(...late.#errors.splice(0))
  }

  /**
   * Call it when all is put back. Throws what fails the test or the file, `TESTDB_GUARD_FAILED` or `TESTDB_CONNECTION_REFUSED`; of one
   * that has failed by itself it is printed, because its own error says more.
   */
  judge(hasFailed = false): void {
    const refusal = this.#refusal
    const guards = this.#errors.length > 0 ? failure(this.#errors) : undefined
    this.#refusal = undefined
    this.#errors.length = 0
    const first = hasFailed ? undefined : (refusal ?? guards)
    for (const one of [refusal, guards]) if (one && one !== first) print(one.message)
    if (first) throw first
  }
}

function failure(errors: readonly { readonly finding: Finding; readonly advice: readonly string[] }[]): TestDbError {
  const guards = [...new Set(errors.map(({ finding }) => finding.guard))]
  const what = errors.map(({ finding }) => `${finding.guard}: ${finding.message}`).join('\n')
  return new TestDbError('TESTDB_GUARD_FAILED', what, {
    details: { findings: errors.map(({ finding }) => finding) },
    fixes: [
      ...new Set(errors.flatMap(({ advice }) => advice)),
      `Or set \`guards: { ${guards.map((guard) => `${guard}: 'warn'`).join(', ')} }\` in testdb.config.ts: then it is only printed.`,
      'Run `npx testdb status` while the test runs to see who is connected.',
    ],
  })
}

/** A logger has heard of it by its event. */
function print(message: string, advice: readonly string[] = []): void {
  if (!isLogged()) process.stderr.write(`testdb: ${message}\n${advice.map((line) => `  → ${line}\n`).join('')}`)
}
