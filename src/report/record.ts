/**
 * A worker's part in the record of a run. Loaded once for each test file, so it is little.
 *
 * A process has one log at a time, also where its files are loaded into sandboxes that know nothing of each other: they meet on a
 * channel of Node's.
 */
import { channel } from 'node:diagnostics_channel'
import { EventLog } from './event-log.ts'

/** Somebody wants to write the log of this process. */
interface Claim {
  readonly folder: string
  /** Set by the main process's log, which has what happens in it already. */
  taken: boolean
}
const claims = channel('testdb:log.claimed')

let current: { readonly log: EventLog; end(): void } | undefined

/** Records this worker's events from now on, unless that is being done. */
export function recordWorker(folder: string | undefined, slot: string): void {
  if (folder === undefined || current?.log.folder === folder) return
  endWorkerRecord()
  const claim: Claim = { folder, taken: false }
  // A file that was left without a word has its log open still.
  claims.publish(claim)
  if (claim.taken) return
  const log = new EventLog(folder, `worker ${slot}`)
  claims.subscribe(endWorkerRecord)
  current = {
    log,
    end: () => {
      claims.unsubscribe(endWorkerRecord)
      log.end()
    },
  }
}

/** The worker leaves the file. */
export function endWorkerRecord(): void {
  current?.end()
  current = undefined
}

/** Writes the log of the main process; tests that run in it are in that. */
export function recordMain(folder: string): Pick<EventLog, 'flush' | 'end'> {
  const log = new EventLog(folder, 'main')
  const answer = (message: unknown): void => {
    const claim = message as Claim
    if (claim.folder === folder) claim.taken = true
  }
  claims.subscribe(answer)
  return {
    flush: () => log.flush(),
    end: () => {
      claims.unsubscribe(answer)
      log.end()
    },
  }
}
