/**
 * One database of pg-mem, made by running the statements that migrated the first one again, with a stack of backups to return
 * to. It lives in this process and goes with it.
 */
import { registerExtensions } from './extensions.ts'
import type { Backup, MemoryDb, PgClass, PgClient, PgMem, QueryResult } from './package.ts'

type Callback = (error: unknown, result?: QueryResult) => void

export interface Refused {
  readonly message: string
  readonly sql: string
}

export interface Driver {
  readonly Client: PgClass
  readonly Pool: PgClass
}

interface State {
  readonly backup: Backup
  readonly changes: number
}

/** A statement of the text that defines something; literals and comments are out of the text by then. */
const DEFINES = /(?:^|;)\s*(?:create|alter|drop)\b/i
const NO_CODE = /'(?:[^']|'')*'|--[^\n]*|\/\*[\s\S]*?\*\//g

export class Emulation {
  /** Stands for the module `pg`. What it has made goes on with the present database when that had to be made anew. */
  readonly driver: Driver
  readonly #newDb: PgMem['newDb']
  readonly #statements: readonly string[]
  readonly #failed = new WeakMap<object, Refused>()
  #db!: MemoryDb
  #client!: PgClient
  /** Statements that have changed the schema, those that pg-mem does not count itself included: DROP and CREATE INDEX. */
  #changes = 0
  #backups: State[] = []

  /** `statements`: what `record` has listed on another one. */
  constructor({ newDb }: Pick<PgMem, 'newDb'>, statements: readonly string[] = []) {
    this.#newDb = newDb
    this.#statements = statements
    this.#make()
    this.driver = this.#makeDriver()
  }

  /** Lists each statement that succeeds, with its values written into it; ends when the returned function is called. */
  record(): () => readonly string[] {
    const statements: string[] = []
    let open = true
    this.#db.on('query', (sql) => void (open && statements.push(sql)))
    return () => {
      open = false
      return statements
    }
  }

  /** Never throws before it is awaited, unlike the adapter. */
  async query(query: unknown, values?: unknown): Promise<QueryResult> {
    try {
      return await this.#client.query(query, values)
    } catch (error) {
      // Knex will write its own words in front of the message.
      if (error instanceof Error) this.#failed.set(error, { message: ownWords(error.message), sql: textOf(query) })
      throw error
    }
  }

  /** What pg-mem has said, when it was pg-mem that has thrown. */
  refused(error: unknown): Refused | undefined {
    return typeof error === 'object' && error !== null ? this.#failed.get(error) : undefined
  }

  /** How many states are remembered above the migrated one. */
  get level(): number {
    return this.#backups.length - 1
  }

  remember(): void {
    this.#backups.push(this.#now())
  }

  /**
   * Returns to the state of `level` and forgets those above. False when the schema was changed since: no backup can be restored
   * then, so the database was made anew, without any remembered state.
   */
  rewind(level: number): boolean {
    this.#backups.splice(level + 1)
    const state = this.#backups.at(-1)
    try {
      if (state?.changes === this.#changes) {
        state.backup.restore()
        return true
      }
    } catch {
      // It has seen a change itself.
    }
    this.#make()
    return false
  }

  #now(): State {
    return { backup: this.#db.backup(), changes: this.#changes }
  }

  #make(): void {
    this.#db = this.#newDb()
    registerExtensions(this.#db)
    for (const sql of this.#statements) this.#db.public.none(sql)
    this.#client = new (this.#db.adapters.createPg().Client)()
    this.#db.on('query', (sql) => {
      if (DEFINES.test(sql.replaceAll(NO_CODE, ' '))) this.#changes++
    })
    this.#backups = [this.#now()]
  }

  #makeDriver(): Driver {
    const run = (query: unknown, values: unknown): Promise<QueryResult> => this.query(query, values)
    class Client extends this.#db.adapters.createPg().Client {
      override query(query: unknown, values?: unknown, callback?: Callback): Promise<QueryResult> {
        const done = typeof values === 'function' ? (values as Callback) : callback
        const result = run(query, Array.isArray(values) ? values : undefined)
        if (done) result.then((rows) => done(null, rows), done)
        return result
      }
    }
    return { Client, Pool: Client }
  }
}

/** Without its advice, which is about filing an issue, and its pictures; with the place, where it says one. */
function ownWords(message: string): string {
  const [first = ''] = message.split('\n', 1)
  const [, line, column] = /Syntax error at line (\d+) col (\d+)/.exec(message) ?? []
  const words = first.replaceAll(/\p{Extended_Pictographic}\uFE0F?/gu, '').replaceAll(/\s+/g, ' ')
  return words.replace(/^[\s:]+/, '').trim() + (line === undefined ? '' : ` (line ${line}, column ${column})`)
}

const textOf = (query: unknown): string => (typeof query === 'string' ? query : (query as { text: string }).text)
