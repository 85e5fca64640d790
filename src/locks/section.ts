/** A critical section: a key, the sections around it and in it, and the signal that tells when its lock is lost. */
import type { TestDbError } from '../errors.ts'
import type { SqlLockKey } from '../postgres/index.ts'
import type { LockConnection } from './connection.ts'
import { lockLost } from './lock-errors.ts'
import { Turns } from './turns.ts'

export class Section {
  readonly key: SqlLockKey
  readonly parent: Section | undefined
  /** Whose turn a key is among the sections of one connection. */
  readonly turns: Turns<Section>
  /** What runs in it. */
  readonly children = new Set<Promise<unknown>>()
  /** Called at its end: what was taken by hand in it and not given back. */
  readonly atEnd = new Set<() => void>()
  /** True when nothing can begin in it any more. */
  ended = false
  /** True when its function has returned: what begins then is outside, though it waits for what has begun before. */
  returned = false
  #connection: LockConnection | undefined
  #grantedAt: number | undefined
  #loss: TestDbError | undefined
  #stop = (): void => undefined
  readonly #controller = new AbortController()

  constructor(key: SqlLockKey, parent?: Section) {
    this.key = key
    this.parent = parent
    this.turns = parent?.turns ?? new Turns()
    if (parent?.connection) this.connect(parent.connection)
  }

  get connection(): LockConnection | undefined {
    return this.#connection
  }

  /** Aborts with TESTDB_LOCK_LOST. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Why it is lost, if it is. */
  get loss(): TestDbError | undefined {
    return this.#loss
  }

  /** True when somebody around it has the same key: then it has it too. */
  get inherited(): boolean {
    for (let one = this.parent; one; one = one.parent) if (one.key.arguments === this.key.arguments) return true
    return false
  }

  isInside(other: Section): boolean {
    for (let one = this.parent; one; one = one.parent) if (one === other) return true
    return false
  }

  /** From now on it is lost with this connection. */
  connect(connection: LockConnection): void {
    this.#connection = connection
    if (connection.lost) this.lose(connection.cause)
    else this.#stop = connection.onLost((cause) => void this.lose(cause))
  }

  granted(): void {
    this.#grantedAt = performance.now()
  }

  get heldMs(): number | undefined {
    return this.#grantedAt === undefined ? undefined : performance.now() - this.#grantedAt
  }

  /** Its signal aborts; the error that says why. */
  lose(cause: unknown): TestDbError {
    if (this.#loss) return this.#loss
    this.#loss = lockLost(this.key, this.heldMs, cause)
    this.#controller.abort(this.#loss)
    return this.#loss
  }

  /** Waits for everything that runs in it, also what nobody waits for, then lets nothing more begin. */
  async end(): Promise<void> {
    while (this.children.size > 0) await Promise.allSettled(this.children)
    this.close()
  }

  /** Nothing can begin in it any more, and nobody is told of a loss. */
  close(): void {
    this.ended = true
    this.#stop()
    for (const end of this.atEnd) end()
    this.atEnd.clear()
  }
}
