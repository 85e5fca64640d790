/** Tests that run at the same time on one database would be put back by each other. */
import { TestDbError } from '../errors.ts'
import type { WorkerContext } from './worker.ts'

export class OneAtATime<Test> {
  readonly #nameOf: (test: Test) => string
  readonly #matters: boolean
  readonly #shares: string
  #running: Test | undefined

  constructor({ reset, scope, shared }: WorkerContext, nameOf: (test: Test) => string) {
    // With a database for each test it is the environment that they would share.
    this.#matters = (reset !== 'none' || scope === 'test') && shared === undefined
    this.#shares = scope === 'test' ? 'with one environment' : 'on one database'
    this.#nameOf = nameOf
  }

  /** Throws `TESTDB_TESTS_CONCURRENT` when another test is running. */
  enter(test: Test): void {
    if (this.#matters && this.#running !== undefined && this.#running !== test) {
      const names = [this.#running, test].map((one) => `"${this.#nameOf(one)}"`).join(' and ')
      throw new TestDbError('TESTDB_TESTS_CONCURRENT', `the tests ${names} run at the same time ${this.#shares}`)
    }
    this.#running = test
  }

  /** False when the test was not let in: then the database is another one's. */
  leave(test: Test): boolean {
    if (this.#matters && this.#running !== test) return false
    this.#running = undefined
    return true
  }
}
