/** Where code of the user runs: in a test, or in a file outside of its tests. What guards find is attributed to it. */
import { relative } from 'node:path'
import type { WorkerDatabase } from '../../databases/database.ts'
import type { Greeting, OutsideObject } from '../../postgres/index.ts'
import type { Verdict } from './verdict.ts'

export interface Place {
  /** For messages. */
  readonly who: string
  /** The test's name; undefined outside of tests. */
  readonly test: string | undefined
  readonly database: WorkerDatabase | undefined
  readonly statements: { count: number; readonly texts: Map<string, number> }
  /** What its statements have made outside of the database. */
  readonly made: OutsideObject[]
  /** Connections to other databases than the worker's. */
  readonly elsewhere: Greeting[]
  /** A statement that may have left a transaction or a lock; only noted where the server can not be asked each time. */
  suspect: boolean
  /** Set by the first refused connection. */
  telling?: Promise<void>
  told?: boolean
  /** What is to be said of it when it has ended. */
  readonly verdict: Verdict
}

export class Places {
  readonly #running = new Map<object, Place>()
  readonly #make: (test: string | undefined, database: WorkerDatabase | undefined) => Place
  readonly #database: WorkerDatabase | undefined
  #outside: Place | undefined

  constructor(
    make: (test: string | undefined, database: WorkerDatabase | undefined) => Place,
    database: WorkerDatabase | undefined,
    before?: Places,
  ) {
    this.#make = make
    this.#database = database
    if (before) this.#running = before.#running
  }

  begin(test: object, name: string, database: WorkerDatabase | undefined): Place {
    const place = this.#make(name, database ?? this.#database)
    this.#running.set(test, place)
    return place
  }

  end(test: object): Place | undefined {
    const place = this.#running.get(test)
    this.#running.delete(test)
    return place
  }

  get running(): readonly Place[] {
    return [...this.#running.values()]
  }

  /** The test that began last, if there is one. */
  get latest(): Place | undefined {
    return this.running.at(-1)
  }

  get outside(): Place {
    this.#outside ??= this.#make(undefined, this.#database)
    return this.#outside
  }

  /** Undefined while nothing was noted there. */
  get outsideIfAny(): Place | undefined {
    return this.#outside
  }

  /** Tests at the same time have databases of their own. */
  of(database: string | undefined): Place {
    if (this.#running.size === 0) return this.outside
    const named = this.#running.size > 1 && this.running.findLast((one) => hasDatabase(one.database, database))
    return named || (this.latest as Place)
  }
}

export const hasDatabase = (worker: WorkerDatabase | undefined, name: string | undefined): boolean =>
  worker?.all.some((one) => one.name === name) === true

/** A file as messages name it. */
export const fileName = (file: string | undefined): string =>
  file === undefined ? 'the test file' : relative(process.cwd(), file)
