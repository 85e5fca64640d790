/**
 * Runs sections, and hands out locks without one.
 *
 *   grip ──► fn, which may begin others inside ──► all of them have ended ──► free, which proves that the lock was held until now
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { messageOf } from '../errors.ts'
import { type LockKey, sqlLockKey } from '../postgres/index.ts'
import type { AdvisoryLock, LockedContext } from './contract.ts'
import type { Grip, Grips } from './grips.ts'
import { Section } from './section.ts'

export class Sections {
  readonly #grips: Grips
  readonly #context = new AsyncLocalStorage<Section>()

  constructor(grips: Grips) {
    this.#grips = grips
  }

  async run<T>(key: LockKey, fn: (context: LockedContext) => Promise<T> | T): Promise<T> {
    const section = new Section(sqlLockKey(key), this.#around())
    return await asChild(section, async () => {
      const grip = await this.#grips.grip(section, 'wait')
      return await this.#inside(section, grip as Grip, fn)
    })
  }

  async take(key: LockKey): Promise<AdvisoryLock | undefined> {
    const section = new Section(sqlLockKey(key), this.#around())
    return await asChild(section, async () => {
      const grip = await this.#grips.grip(section, 'try')
      return grip && this.#handle(key, section, grip)
    })
  }

  /** The innermost section around the caller that has not ended: what outlives its section begins in the next one outside. */
  #around(): Section | undefined {
    let section = this.#context.getStore()
    while (section?.ended || section?.returned) section = section.parent
    return section
  }

  async #inside<T>(section: Section, grip: Grip, fn: (context: LockedContext) => Promise<T> | T): Promise<T> {
    let outcome: { readonly value: T } | { readonly thrown: unknown }
    try {
      if (section.loss) throw section.loss
      outcome = { value: await this.#context.run(section, async () => await fn({ signal: section.signal })) }
    } catch (thrown) {
      outcome = { thrown }
    }
    section.returned = true
    await section.end()
    if (section.loss) {
      await grip.drop()
      // Two errors, and the loss is the one to react to.
      if ('thrown' in outcome && outcome.thrown !== section.loss)
        Object.assign(section.loss.details, { thrown: messageOf(outcome.thrown) })
      throw section.loss
    }
    if ('thrown' in outcome) {
      await grip.drop()
      throw outcome.thrown
    }
    await this.#free(section, grip)
    return outcome.value
  }

  async #free(section: Section, grip: Grip): Promise<void> {
    try {
      await grip.free()
    } catch (error) {
      if (!grip.connection.lost) throw error
    }
    if (grip.connection.lost) throw section.lose(grip.connection.cause)
  }

  #handle(key: LockKey, section: Section, grip: Grip): AdvisoryLock {
    let released: Promise<void> | undefined
    const expire = (): void => {
      section.lose(new Error('the section in which it was taken has ended'))
      section.close()
      void grip.drop()
    }
    section.parent?.atEnd.add(expire)
    const release = async (): Promise<void> => {
      section.parent?.atEnd.delete(expire)
      section.close()
      if (!section.loss) return await this.#free(section, grip)
      await grip.drop()
      throw section.loss
    }
    const lock: AdvisoryLock = {
      key,
      signal: section.signal,
      release: () => {
        released ??= release()
        return released
      },
      [Symbol.asyncDispose]: () => lock.release(),
    }
    return lock
  }
}

/** The section around waits for it before it ends. */
async function asChild<T>(section: Section, body: () => Promise<T>): Promise<T> {
  const work = body()
  const { parent } = section
  if (!parent) return await work
  parent.children.add(work)
  try {
    return await work
  } finally {
    parent.children.delete(work)
  }
}
