/**
 * What `beforeAll` hooks have made stays for the tests of their describe block, and goes with it: a checkpoint for each block.
 *
 *   enter(block) ──► its hooks run ──► at([…, block]) remembers what they have made ──► its tests, each put back to that
 *        │                                                                                   │
 *        └── at(another place), also when the hooks have thrown ──► what they have made is gone ◄──┘
 *
 * Runners do not tell when a block is left; it shows when the next hook or test is about to run, which is early enough.
 */
import { callOnReset } from '../databases/on-reset.ts'
import type { BegunResets } from '../databases/reset/begun.ts'
import { messageOf } from '../errors.ts'
import { publish } from '../events.ts'
import type { HeldDatabase } from './worker.ts'

interface Entered<Block> {
  readonly block: Block
  /** The level that resets inside it return to; undefined until its hooks have run. */
  level: number | undefined
}

/** The same for each database of the worker. `Block`: a describe block, or a file, as the runner knows it. */
export class Suites<Block> {
  /** The first database last: when it was put back, the others were. */
  readonly #each: readonly SuitesOfOne<Block>[]

  constructor(database: HeldDatabase, nameOf: (block: Block) => string) {
    this.#each = [...database.all].reverse().map((one) => new SuitesOfOne(one, nameOf))
  }

  /** The hooks of the last block of the path are about to run. */
  async enter(path: readonly Block[]): Promise<void> {
    for (const one of this.#each) await one.enter(path)
  }

  /** A test inside of these blocks, from the file inwards, is about to run. Only blocks with hooks count. */
  async at(path: readonly Block[]): Promise<void> {
    let put = false
    for (const one of this.#each) put = (await one.at(path)) || put
    if (put) await callOnReset()
  }

  /** The `afterAll` hooks of a block are about to run; `path` ends with it, if it has hooks before its tests, too. */
  async leave(path: readonly Block[], block: Block): Promise<void> {
    for (const one of this.#each) await one.leave(path, block)
  }

  /** Something wrote after the test and its reset: the databases are put back again before the next. */
  wroteLate(test: string): void {
    for (const one of this.#each) one.wroteLate(test)
  }

  /** A test has ended: puts the databases back to what it began with. */
  async leaveTest(name: string, begun?: BegunResets): Promise<void> {
    for (const one of this.#each) await one.leaveTest(name, begun)
    await callOnReset()
  }
}

type OneDatabase = Pick<HeldDatabase, 'checkpoints' | 'resetAfter'>

class SuitesOfOne<Block> {
  readonly #database: OneDatabase
  readonly #nameOf: (block: Block) => string
  readonly #entered: Entered<Block>[] = []
  /** What may have written since the last reset, other than a test. */
  #written: string | undefined

  constructor(database: OneDatabase, nameOf: (block: Block) => string) {
    this.#database = database
    this.#nameOf = nameOf
  }

  async enter(path: readonly Block[]): Promise<void> {
    const block = path.at(-1)
    await this.at(path.slice(0, -1))
    if (block !== undefined && this.#database.checkpoints) this.#entered.push({ block, level: undefined })
  }

  /** True when the database was put back. */
  async at(path: readonly Block[]): Promise<boolean> {
    const { checkpoints } = this.#database
    const left = this.#entered.findIndex(({ block }, place) => block !== path[place])
    if (left >= 0) this.#entered.splice(left)
    // A database that had to be replaced has none of the checkpoints any more.
    for (const one of this.#entered) if ((one.level ?? 0) > (checkpoints?.level ?? 0)) one.level = checkpoints?.level
    const outdated = left >= 0 || this.#written !== undefined
    if (outdated) {
      await this.#database.resetAfter(this.#written ?? 'the hooks of a block', this.#level)
      this.#written = undefined
    }
    if (!this.#database.checkpoints) return outdated
    for (const one of this.#entered) one.level ??= await this.#remember(one.block)
    return outdated
  }

  async leave(path: readonly Block[], block: Block): Promise<void> {
    await this.at(path)
    this.#written = `afterAll of ${this.#nameOf(block)}`
  }

  wroteLate(test: string): void {
    this.#written ??= test
  }

  async leaveTest(name: string, begun?: BegunResets): Promise<void> {
    await this.#database.resetAfter(name, this.#level, begun)
  }

  get #level(): number {
    return this.#entered.findLast(({ level }) => level !== undefined)?.level ?? 0
  }

  async #remember(block: Block): Promise<number> {
    const { checkpoints } = this.#database
    try {
      await checkpoints?.checkpoint()
    } catch (error) {
      if (checkpoints?.session.ended) throw error
      const message = `what beforeAll hooks of "${this.#nameOf(block)}" have made is gone after its first test: ${messageOf(error)}`
      publish('warning.raised', { message })
    }
    return checkpoints?.level ?? 0
  }
}
