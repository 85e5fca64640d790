/** Removes containers whose workspace has been deleted, and whose supervisor was killed: nobody else would look for them. */
import { existsSync } from 'node:fs'
import { messageOf } from '../../errors.ts'
import { thisPlace } from '../embedded/machine.ts'
import { note } from '../owned/supervisor-log.ts'
import { LABEL, remove } from './container.ts'
import type { Engine } from './engine.ts'

/** Only of this machine, as far as we can see it: elsewhere a folder that is not here may be there. */
export async function removeLeftovers(engine: Engine): Promise<void> {
  const { boot, pids } = await thisPlace()
  if (boot === 'unknown') return
  const label = [`${LABEL.boot}=${boot}`, `${LABEL.pids}=${pids}`, LABEL.folder]
  const ours = await engine.docker.listContainers({ all: true, filters: { label } })
  for (const { Id, Names, Labels } of ours) {
    if (existsSync(Labels[LABEL.folder] ?? '/')) continue
    note(`${Names.join(' ')} is removed: its folder is gone`)
    // Not worth failing a start.
    await remove(engine, Id).catch((error: unknown) => note(messageOf(error)))
  }
}
