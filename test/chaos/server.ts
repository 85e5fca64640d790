/** The campaign's embedded server, seen from outside: what lives of it, and whom its sessions belong to. Starts nothing. */
import { setTimeout as delay } from 'node:timers/promises'
import { isSqlState, LOCK_SPACE, Session } from '../../src/postgres/index.ts'
import { chooseAccount } from '../../src/server/embedded/account.ts'
import { existingLayouts, type Layout } from '../../src/server/embedded/locations.ts'
import { readPostmasterFile } from '../../src/server/embedded/postmaster-file.ts'
import { adminTarget } from '../../src/server/embedded/state-file.ts'
import { runningPostmasters } from '../../src/server/embedded/status.ts'
import { childrenOf, isAlive, postmasters, supervisors } from './processes.ts'

/** How long a server may take to die or to refuse new sessions after a blow (ms). */
const SETTLE_MS = 30_000

export interface ClientSession {
  readonly pid: number
  readonly start: string
  /** First process of the run whose session it is; null where the server can not tell. */
  readonly run: number | null
  /** True: a test has opened it. False: testdb has. */
  readonly ofTest: boolean
  readonly what: string
}

export class ObservedServer {
  /** Every one that was about to be hit. */
  readonly postmastersSeen = new Set<number>()
  readonly #projectRoot: string
  readonly #temporary: string

  constructor(projectRoot: string, temporary: string) {
    this.#projectRoot = projectRoot
    this.#temporary = temporary
  }

  async layout(): Promise<Layout | undefined> {
    return (await existingLayouts({ projectRoot: this.#projectRoot }, chooseAccount()))[0]
  }

  /** Found by its command line, so also while it starts or stops. */
  async postmaster(): Promise<number | undefined> {
    const layout = await this.layout()
    const found = layout && postmasters([layout.memoryCluster, layout.diskCluster])[0]
    if (found !== undefined) this.postmastersSeen.add(found)
    return found
  }

  supervisor(): number | undefined {
    return supervisors(this.#temporary)[0]
  }

  async children(): Promise<number[]> {
    const postmaster = await this.postmaster()
    return postmaster === undefined ? [] : childrenOf(postmaster)
  }

  /** A session as the admin; undefined when the server does not take any. */
  async connect(): Promise<Session | undefined> {
    const layout = await this.layout()
    for (const { state } of layout ? await runningPostmasters(layout) : []) {
      if (state === undefined) continue
      try {
        return await Session.open(adminTarget(state), { applicationName: 'chaos', connectTimeoutMs: 3_000 })
      } catch {
        // Starting, stopping, paused, recovering: there is nothing to cut then.
      }
    }
    return undefined
  }

  /**
   * Waits until nobody can come to a server any more that is about to die: who starts after this is not hit.
   * `canary` is a session from before the blow.
   */
  async untilRefusing(postmaster: number, canary: Session | undefined): Promise<void> {
    const layout = await this.layout()
    const deadline = Date.now() + SETTLE_MS
    for (;;) {
      if (!isAlive(postmaster) || canary?.lost.aborted) return
      for (const folder of layout ? [layout.memoryCluster, layout.diskCluster] : []) {
        const file = await readPostmasterFile(`${folder}/data`)
        if (file?.pid === postmaster && file.status === 'stopping') return
      }
      if (Date.now() > deadline) return
      await delay(20)
    }
  }
}

/** Sessions of a run carry its lock, lie in its database or in the staging database of its template. */
export async function clientSessions(session: Session): Promise<ClientSession[]> {
  try {
    const { rows } = await session.query<ClientSession>(
      `select a.pid, a.backend_start::text as start, a.application_name || ' on ' || a.datname as what,
              a.application_name not like 'testdb %' and a.datname not like 'testdb\\_s\\_%' as "ofTest",
              coalesce(own.pid, leased.pid, leader.pid, staging.leader_pid) as run
         from pg_stat_activity a
         left join pg_locks l on l.pid = a.pid and l.locktype = 'advisory' and l.classid = $1 and l.objsubid = 2 and l.granted
         left join testdb.runs own on own.id = l.objid
         left join testdb.databases d on d.name = a.datname
         left join testdb.runs leased on leased.id = d.run_id
         left join pg_locks b on b.pid = a.pid and b.locktype = 'advisory' and b.classid = $2 and b.objsubid = 2 and b.granted
         left join testdb.templates led on led.id = b.objid
         left join testdb.runs leader on leader.pid = led.leader_pid and own.id is null
         left join testdb.templates staging on staging.staging = a.datname
        where a.backend_type = 'client backend' and a.datname is not null and a.application_name <> 'chaos' order by a.backend_start, a.pid`,
      [LOCK_SPACE.run, LOCK_SPACE.build],
    )
    return rows
  } catch (error) {
    // The registry is not there yet, or the server has just gone.
    if (session.lost.aborted || isSqlState(error, 'undefinedTable') || /schema "testdb"/.test(String(error))) return []
    throw error
  }
}
