/** Plays a workload in an arena: a test, the reset after it, and the comparison. */
import { subscribe } from '../../../src/events.ts'
import { eventually } from '../../helpers/wait.ts'
import type { Arena } from './arena.ts'
import type { Kind, Step, Workload } from './workload.ts'

/** Why a reset may give up, and a fresh clone be made: a documented limit. */
const KNOWN_REASONS = [/large objects were changed/]

export interface Outcome {
  readonly statements: number
  /** Statements that the server refused, as it may. */
  readonly failed: number
  /** Whether there was something to undo; undefined where nobody looked. */
  readonly changed: boolean | undefined
}

/** `look`: also at what costs more than a reset. Throws when something is not as it was. */
export async function play(arena: Arena, { kind, steps }: Workload, look: boolean): Promise<Outcome> {
  const warnings: string[] = []
  const stop = subscribe('warning.raised', ({ message }) => void warnings.push(message))
  const player = new Player(arena)
  const unexpected = (): string[] => warnings.filter((message) => !isExpected(message, kind))
  try {
    await arena.connections.settle()
    if (look) await arena.checkNextValues()
    for (const step of steps) await player.step(step)
    // Where known objects were changed nobody may be connected.
    const changed = look && kind !== 'alters' ? await arena.differs() : undefined
    await arena.back(0)
    if (unexpected().length > 0) throw new Error('not as it should be')
    const { statements, failed } = player
    return { statements, failed, changed }
  } catch (error) {
    throw new Error([String(error), ...unexpected()].join('\n'), { cause: error })
  } finally {
    stop()
    await Promise.all(player.late)
  }
}

class Player {
  readonly late: Promise<void>[] = []
  statements = 0
  failed = 0
  readonly #arena: Arena

  constructor(arena: Arena) {
    this.#arena = arena
  }

  async step(step: Step): Promise<void> {
    const { connections } = this.#arena
    if (step.do === 'run') return await this.#run(step.on, step.sql)
    if (step.do === 'late') return await this.#begin(step.on, step.sql)
    if (step.do === 'kill') return await connections.kill(step.on)
    if (step.do === 'leave') return connections.leave(step.on, step.writes)
    if (step.do === 'close') return await connections.closeAll()
    if (step.do === 'checkpoint') return await this.#arena.checkpoint()
    const { level } = this.#arena
    return await this.#arena.back(step.do === 'reset' ? level : Math.max(0, level - step.by))
  }

  async #run(on: number, sql: string): Promise<void> {
    this.statements += 1
    const session = await this.#arena.connections.of(on)
    await session.query(sql).catch(() => {
      this.failed += 1
    })
  }

  /** Sends a statement, and returns when it is at work: when it has written its first note, or is over. */
  async #begin(on: number, sql: string): Promise<void> {
    const { connections } = this.#arena
    const session = await connections.of(on)
    let over = false
    const end = (): void => {
      over = true
    }
    this.late.push(session.query(sql).then(end, end))
    const watcher = await connections.watcher()
    await eventually('the statement is at work', async () => {
      const { rows } = await watcher.query(
        `select from pg_locks where pid = $1 and relation = 'testdb.dirty'::regclass and granted`,
        [session.backendPid],
      )
      return over || rows.length > 0
    })
  }
}

function isExpected(message: string, kind: Kind): boolean {
  // Work that goes on is ended; that it was, is said.
  if (/^ended \d+ session/.test(message)) return kind === 'late' || kind === 'open' || kind === 'reads'
  return KNOWN_REASONS.some((reason) => reason.test(message)) || (kind === 'alters' && / failed \(/.test(message))
}
