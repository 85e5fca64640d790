/**
 * Many transactions on one connection. Each that a client begins is a savepoint here, and so is each of its own savepoints; a
 * statement outside of a transaction is one of its own, as long as it runs. They lie on one stack, whoever owns them:
 *
 *   BEGIN (a)    SAVEPOINT x (a)    BEGIN (b)    ← a statement of b needs no more: its failure undoes only what b must undo anyway
 *   testdb_1     testdb_2           testdb_3     ← one of a gets a savepoint on top, so that its failure leaves b alone
 *
 * What ends below another's is only marked: releasing it would take those above with it. It goes when it is on top.
 */
import type pg from 'pg'
import { publish } from '../../events.ts'
import { isConnectionLoss } from '../sqlstate.ts'
import { DeferredConstraints } from './constraints.ts'
import type { Access } from './control.ts'
import { isRefusal, serverError, undoneError } from './refusals.ts'

/** The client that a statement came from. */
export type Owner = object
type Result = pg.QueryResult
type Send = (sql: string) => Promise<Result>

interface Savepoint {
  readonly sql: string
  readonly owner: Owner
  /** The user's name for it; undefined for the ones that stand for transactions. */
  readonly name?: string | undefined
  done: boolean
  /** Others have written since. */
  shared: boolean
}

interface Transaction {
  readonly base: Savepoint
  access: Access
  failed: boolean
  /** Rolled back together with another client's. */
  undone: boolean
}

const READS =
  /^(?:SELECT|SHOW|SET|RESET|EXPLAIN|FETCH|MOVE|DECLARE|CLOSE|LISTEN|UNLISTEN|NOTIFY|PREPARE|DEALLOCATE|LOCK)?$/
const ROWS = /^(?:INSERT|UPDATE|DELETE|MERGE|COPY|TRUNCATE|REFRESH)/

export class Nesting {
  readonly #send: Send
  #stack: Savepoint[] = []
  readonly #open = new Map<Owner, Transaction>()
  #made = 0
  #warned = false
  readonly #constraints = new DeferredConstraints()

  constructor(send: Send) {
    this.#send = send
  }

  /** Those whose transaction is open. */
  get owners(): Owner[] {
    return [...this.#open.keys()]
  }

  /** The whole transaction, or the connection, has ended. */
  clear(): void {
    this.#stack = []
    this.#open.clear()
    this.#constraints.forget()
  }

  async begin(owner: Owner, access: Access, tag = 'BEGIN'): Promise<Result> {
    // A second one only sets modes; the server warns.
    if (this.#open.has(owner)) return await this.modes(owner, access, tag)
    const base = await this.#push(owner, undefined, access && `set transaction ${access}`)
    this.#open.set(owner, { base, access, failed: false, undone: false })
    return await this.#answer(tag)
  }

  async commit(owner: Owner, chain: boolean): Promise<Result> {
    const transaction = this.#open.get(owner)
    if (!transaction) return await this.#noBlock(chain, 'COMMIT')
    const { undone, failed, base, access } = transaction
    if (undone || failed) {
      const result = await this.rollback(owner, chain)
      if (undone) throw undoneError()
      return result
    }
    try {
      await this.#release(base)
    } catch (error) {
      await this.rollback(owner, false)
      throw error
    }
    this.#open.delete(owner)
    if (chain) await this.begin(owner, access)
    return await this.#answer('COMMIT')
  }

  async rollback(owner: Owner, chain: boolean): Promise<Result> {
    const transaction = this.#open.get(owner)
    if (!transaction) return await this.#noBlock(chain, 'ROLLBACK')
    this.#open.delete(owner)
    if (this.#stack.includes(transaction.base)) await this.#undo(transaction.base)
    if (chain) await this.begin(owner, transaction.access)
    return await this.#answer('ROLLBACK')
  }

  async savepoint(owner: Owner, name: string): Promise<Result> {
    this.#usable(this.#inBlock(owner, 'SAVEPOINT'))
    await this.#push(owner, name)
    return await this.#answer('SAVEPOINT')
  }

  async release(owner: Owner, name: string): Promise<Result> {
    this.#usable(this.#inBlock(owner, 'RELEASE SAVEPOINT'))
    await this.#release(await this.#find(owner, name))
    return await this.#answer('RELEASE')
  }

  async rollbackTo(owner: Owner, name: string): Promise<Result> {
    const transaction = this.#inBlock(owner, 'ROLLBACK TO SAVEPOINT')
    if (transaction.undone) throw undoneError()
    await this.#rollbackTo(await this.#find(owner, name))
    transaction.failed = false
    return await this.#answer('ROLLBACK')
  }

  /** SET TRANSACTION. Isolation levels mean nothing on one connection. */
  async modes(owner: Owner, access: Access, tag = 'SET'): Promise<Result> {
    const transaction = this.#open.get(owner)
    this.#usable(transaction)
    if (transaction && access) {
      await this.statement(owner, () => this.#send(`set transaction ${access}`))
      transaction.access = access
    }
    return await this.#answer(tag)
  }

  /** Runs what is no control. `apart`: with a savepoint of its own in any case, because its failure only shows afterwards. */
  async statement<T>(owner: Owner, run: () => Promise<T>, apart = false): Promise<T> {
    const transaction = this.#open.get(owner)
    this.#usable(transaction)
    const top = this.#stack.at(-1)
    const unit = !apart && top?.owner === owner ? undefined : await this.#push(owner)
    try {
      const result = await run()
      this.#note(owner, result)
      if (unit) await this.#release(unit)
      return result
    } catch (error) {
      // With the connection everything has gone.
      if (isConnectionLoss(error)) throw error
      if (unit) await this.#undo(unit)
      if (transaction && isRefusal(error)) {
        if (!unit && top) await this.#rollbackTo(top)
        await this.#fail(owner, transaction)
      }
      throw error
    }
  }

  /** Where nothing else can come but its end, it is undone now: what others do until then is no part of it. */
  async #fail(owner: Owner, transaction: Transaction): Promise<void> {
    transaction.failed = true
    const own = this.#stack.filter((one) => one.owner === owner)
    if (own.length === 1 && this.#stack.at(-1) === transaction.base) await this.#undo(transaction.base)
  }

  async #push(owner: Owner, name?: string, further?: string): Promise<Savepoint> {
    const entry: Savepoint = { sql: `testdb_${++this.#made}`, owner, name, done: false, shared: false }
    await this.#send(`savepoint ${entry.sql}${further ? `; ${further}` : ''}`)
    this.#stack.push(entry)
    return entry
  }

  async #release(entry: Savepoint, checked = true): Promise<void> {
    const own = this.#stack.slice(this.#stack.indexOf(entry)).filter(({ owner }) => owner === entry.owner)
    let left = this.#stack.length
    while (left > 0 && (this.#stack[left - 1]?.done || own.includes(this.#stack[left - 1] as Savepoint))) left--
    const first = this.#stack[left]
    // What others have begun is not complete yet, so their rows are not checked on the occasion.
    const check = checked && left === 0 ? await this.#constraints.check(this.#send) : ''
    if (first) await this.#send(`${check}release savepoint ${first.sql}`)
    for (const one of own) one.done = true
    this.#stack.length = left
  }

  async #undo(entry: Savepoint): Promise<void> {
    await this.#rollbackTo(entry)
    await this.#send(`release savepoint ${entry.sql}`)
    this.#stack.length = this.#stack.indexOf(entry)
    const below = this.#stack.at(-1)
    if (below?.done) await this.#release(below, false)
  }

  async #rollbackTo(entry: Savepoint): Promise<void> {
    await this.#send(`rollback to savepoint ${entry.sql}`)
    const place = this.#stack.indexOf(entry)
    for (const { owner, done } of this.#stack.slice(place + 1)) {
      const other = owner === entry.owner || done ? undefined : this.#open.get(owner)
      if (other) other.undone = true
    }
    this.#stack.length = place + 1
    if (entry.shared && !this.#warned) {
      this.#warned = true
      const message = `a transaction was rolled back, and with it what other connections of db wrote since it began: with reset: 'rollback' they all are one connection`
      publish('warning.raised', { message })
    }
    entry.shared = false
  }

  #note(owner: Owner, result: unknown): void {
    for (const one of [result].flat()) {
      const command = (one as Result | undefined)?.command ?? ''
      if (READS.test(command)) continue
      if (!ROWS.test(command)) this.#constraints.forget()
      for (const entry of this.#stack) if (entry.owner !== owner) entry.shared = true
    }
  }

  /** A result with that tag, as the driver makes them. */
  async #answer(command: string): Promise<Result> {
    return Object.assign(await this.#send(''), { command })
  }

  async #noBlock(chain: boolean, command: string): Promise<Result> {
    if (chain) throw serverError('25P01', `${command} AND CHAIN can only be used in transaction blocks`)
    return await this.#answer(command)
  }

  #inBlock(owner: Owner, command: string): Transaction {
    const transaction = this.#open.get(owner)
    if (!transaction) throw serverError('25P01', `${command} can only be used in transaction blocks`)
    return transaction
  }

  #usable(transaction: Transaction | undefined): void {
    if (transaction?.undone) throw undoneError()
    if (!transaction?.failed) return
    throw serverError('25P02', 'current transaction is aborted, commands ignored until end of transaction block')
  }

  async #find(owner: Owner, name: string): Promise<Savepoint> {
    const found = this.#stack.findLast((one) => one.owner === owner && one.name === name && !one.done)
    if (found) return found
    const transaction = this.#open.get(owner)
    if (transaction) await this.#fail(owner, transaction)
    throw serverError('3B001', `savepoint "${name}" does not exist`)
  }
}
