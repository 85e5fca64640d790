/**
 * Getting hold of a lock: the outermost section has a connection with a transaction, those inside it savepoints of it.
 *
 *   turn in this process ──► connection ──► BEGIN, lock ──► one turn of the event loop ──► the section ──► COMMIT
 *   turn in the connection ──────────► SAVEPOINT, lock ──► one turn of the event loop ──► the section ──► ROLLBACK TO SAVEPOINT
 */
// Node's own: tests replace the global ones by fakes that never fire.
import { setImmediate } from 'node:timers/promises'
import { isSqlState } from '../postgres/index.ts'
import type { Level, LockConnection, Mode } from './connection.ts'
import { type LockHolder, lockDeadlock, lockTimeout } from './lock-errors.ts'
import type { LockPool } from './lock-pool.ts'
import type { Section } from './section.ts'
import type { LockSettings } from './settings.ts'
import { TooLate, Turns } from './turns.ts'

/** A lock that is had; `free` proves that it was had until then, `drop` does not care. */
export interface Grip {
  readonly connection: LockConnection
  free(): Promise<void>
  drop(): Promise<void>
}

export class Grips {
  readonly #pool: LockPool
  readonly #settings: LockSettings
  /** Of the outermost sections. */
  readonly #turns = new Turns<Section>()
  #refusal: unknown

  constructor(pool: LockPool, settings: LockSettings) {
    this.#pool = pool
    this.#settings = settings
  }

  /** From now on nothing begins but inside of what runs. */
  refuse(error: unknown): void {
    this.#refusal = error
    this.#turns.fail(error)
  }

  /** Undefined: somebody has it (`try`). When it throws, nothing is left. */
  async grip(section: Section, mode: Mode): Promise<Grip | undefined> {
    const grip = section.parent ? await this.#nested(section, mode) : await this.#outermost(section, mode)
    if (!grip) return undefined
    section.granted()
    // A backend that is ended says so before it frees its locks. If the last holder was in this process, that word has come with
    // or before our lock, and is read in this turn of the event loop: its signal has aborted before we begin.
    await setImmediate()
    return grip
  }

  async #outermost(section: Section, mode: Mode): Promise<Grip | undefined> {
    if (this.#refusal) throw this.#refusal
    const startedAt = performance.now()
    if (!(await this.#turn(this.#turns, section, mode))) return undefined
    // What was waited here is not waited again at the server.
    const left = this.#settings.numbers.lockTimeoutMs - (performance.now() - startedAt)
    let connection: LockConnection | undefined
    const giveUp = (): void => {
      this.#turns.leave(section)
      section.close()
      connection?.giveBack()
    }
    try {
      connection = await this.#pool.take(section.key)
      section.connect(connection)
      connection.onLost((cause) => {
        // Who waits goes on, though this section may not have noticed yet: the server lets others in as well.
        this.#turns.leave(section)
        section.turns.fail(cause ?? new Error('lost'))
      })
      const waitingSince = performance.now()
      const granted = await this.#ask(section, connection, waitingSince, () =>
        connection?.acquire(section.key, mode, mode === 'wait' ? left : undefined),
      )
      if (granted && this.#refusal) throw this.#refusal
      if (granted) return this.#whole(section, connection)
    } catch (error) {
      giveUp()
      throw error
    }
    giveUp()
    return undefined
  }

  #whole(section: Section, connection: LockConnection): Grip {
    const end = async (how: () => Promise<void>): Promise<void> => {
      try {
        await how()
      } finally {
        this.#turns.leave(section)
        connection.giveBack()
      }
    }
    return {
      connection,
      free: () => end(() => connection.commit()),
      drop: () => end(() => connection.rollback()).catch(() => undefined),
    }
  }

  async #nested(section: Section, mode: Mode): Promise<Grip | undefined> {
    const { connection, turns } = section
    if (!connection || section.loss) throw section.lose(connection?.cause)
    const inherited = section.inherited
    let grip: Grip | undefined
    try {
      if (!(await this.#turn(turns, section, mode))) return undefined
      const level = inherited
        ? undefined
        : await this.#ask(section, connection, performance.now(), () => connection.push(section.key, mode))
      if (inherited || level) grip = part(section, connection, level)
      return grip
    } finally {
      if (!grip) {
        turns.leave(section)
        section.close()
      }
    }
  }

  /** Waits for the key among the sections of this process. */
  async #turn(turns: Turns<Section>, section: Section, mode: Mode): Promise<boolean> {
    if (mode === 'try') return turns.tryEnter(section)
    const startedAt = performance.now()
    try {
      await turns.enter(section, this.#settings.numbers.lockTimeoutMs)
      return true
    } catch (error) {
      if (section.loss) throw section.loss
      if (!(error instanceof TooLate)) throw error
      throw lockTimeout(section.key, performance.now() - startedAt, this.#describe(error.holder as Section | undefined))
    }
  }

  #describe(holder: Section | undefined): LockHolder | undefined {
    if (!holder?.connection) return undefined
    const { applicationName } = this.#settings
    return { pid: holder.connection.backendPid, applicationName, state: null, heldMs: holder.heldMs ?? null }
  }

  /** Asks the server for the lock and says what it means when that fails. */
  async #ask<T>(
    section: Section,
    connection: LockConnection,
    startedAt: number,
    ask: () => Promise<T> | undefined,
  ): Promise<T | undefined> {
    try {
      return await ask()
    } catch (error) {
      const waitedMs = performance.now() - startedAt
      if (connection.lost) throw section.lose(connection.cause)
      if (isSqlState(error, 'deadlockDetected')) throw lockDeadlock(section.key, waitedMs, error)
      if (!isSqlState(error, 'lockNotAvailable')) throw error
      const holder = await connection.holderOf(section.key).catch(() => undefined)
      throw lockTimeout(section.key, waitedMs, holder, error)
    }
  }
}

/** What a nested section has: a savepoint, or nothing where a section around it has the key. */
function part(section: Section, connection: LockConnection, level: Level | undefined): Grip {
  const free = async (): Promise<void> => {
    try {
      if (level) await connection.pop(level)
    } finally {
      section.turns.leave(section)
    }
  }
  return { connection, free, drop: () => free().catch(() => undefined) }
}
