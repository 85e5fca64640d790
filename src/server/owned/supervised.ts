/** What a supervisor has to know and to do about the server that it watches; one for each kind (supervision.ts uses it). */
import type { ConnectionTarget } from '../../postgres/index.ts'
import type { ServerFiles } from './files.ts'

export interface Supervised {
  readonly files: ServerFiles
  readonly admin: ConnectionTarget
  /** True when this process has started it: then nobody else can find it before its state is written. */
  readonly isNew: boolean
  /** Asked at every look. `suspect`: our session has just ended, so a look that costs something is worth it. */
  isAlive(suspect: boolean): Promise<boolean>
  /** True when its data is deleted under it, so that nobody will find it again. */
  isForgotten(): Promise<boolean>
  /** Says that it lives, to those who can not see its processes. */
  beat(): Promise<void>
  writeState(): Promise<void>
  /** Unless the file speaks of another server by now. */
  removeState(): Promise<void>
  /** Ends the server and resolves when it is gone. */
  stop(): Promise<void>
  /** Removes what it leaves outside of its folder. */
  cleanUp(): Promise<void>
}
