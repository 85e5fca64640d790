// What every actor does: tells its parent when what happened.
import { once } from 'node:events'

const now = () => performance.timeOrigin + performance.now()

export const say = (event) => void process.send?.({ event, at: now() })

/** Resolves when all processes are loaded: they are let go together, because how fast Node starts is nobody's merit. */
async function go() {
  const told = once(process, 'message')
  say('loaded')
  await told
}

/** Runs the actor's work; its result is whether it worked, and in how many words it did not. */
export async function act(body) {
  let result
  await go()
  try {
    await body()
    result = { ok: true }
  } catch (error) {
    const text = `${error.code ?? ''} ${error.message}`.trim()
    result = { ok: false, error: text.split('\n')[0].replace(/\d+/g, 'n').slice(0, 160) }
  }
  say('done')
  process.send?.({ result }, () => process.disconnect())
}

/** Proof that the database is migrated to the end. */
export const LAST_TABLE = 'step_149'
