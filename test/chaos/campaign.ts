/**
 * Runs a plan: several runs at a time, each with its blow, and between them undisturbed runs of every kind.
 *
 * What was decided can be had again from the seed; what happened is in the log, which every failure prints.
 */
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type Field, strike } from './blows.ts'
import { CHECKOUTS, type CheckoutName } from './checkouts.ts'
import { describeStep, planCampaign, type RunKind, type Step } from './plan.ts'
import { type Hit, LiveRun } from './runs.ts'
import { ObservedServer } from './server.ts'

export interface CampaignOptions {
  readonly seed: number
  readonly pairs: number
  /** No further pair is begun after this (ms). */
  readonly budgetMs: number
  /** Folder of the workspace. */
  readonly root: string
  /** The runs' temporary folder. */
  readonly temporary: string
}

export interface CampaignResult {
  /** Pairs that were begun. */
  readonly begun: number
  readonly complaints: readonly string[]
  /** How many runs met what at worst, and how many blows found nothing to hit. */
  readonly met: Readonly<Record<Hit | 'missed blow', number>>
  /** The longest of the undisturbed runs of each kind (ms). */
  readonly undisturbedMs: Readonly<Record<RunKind, number>>
}

/** Runs at the same time: enough to collide, few enough for a machine with two processors. */
const LANES = 3
/** Pairs between two rounds of undisturbed runs. */
const ROUND = 25
/** What removes templates comes first, so that there are some to look at in the end. */
const UNDISTURBED: readonly RunKind[] = ['prune', 'reset', 'vitest', 'jest', 'run', 'script']
/** How long an undisturbed run may take (ms); alone on a quiet machine it takes about two seconds. */
const UNDISTURBED_MS = 60_000
/** How long a blow waits for something to hit (ms). */
const TARGET_MS = 1_500

export class Campaign {
  readonly log: string[] = []
  readonly server: ObservedServer
  readonly #options: CampaignOptions
  readonly #runs = new Set<LiveRun>()
  readonly #disasters = new Set<Promise<void>>()
  readonly #complaints: string[] = []
  readonly #met = { none: 0, statement: 0, session: 0, server: 0, signal: 0, 'missed blow': 0 }
  readonly #undisturbedMs = { vitest: 0, jest: 0, run: 0, script: 0, prune: 0, reset: 0 }
  readonly #begunAt = Date.now()
  #calm = 0
  #stopped = false
  #begun = 0

  constructor(options: CampaignOptions) {
    this.#options = options
    this.server = new ObservedServer(options.root, options.temporary)
  }

  async run(): Promise<CampaignResult> {
    const steps = planCampaign(this.#options.seed, this.#options.pairs)
    for (let from = 0; from < steps.length && !this.#isOver(); from += ROUND) {
      const waiting = steps.slice(from, from + ROUND)
      const lane = async (): Promise<void> => {
        for (let step = waiting.shift(); step !== undefined && !this.#isOver(); step = waiting.shift()) {
          await this.#pair(step).catch((error: unknown) => {
            this.stop()
            throw error
          })
        }
      }
      const lanes = await Promise.allSettled(Array.from({ length: LANES }, lane))
      for (const ended of lanes) if (ended.status === 'rejected') throw ended.reason
      await Promise.all(this.#disasters)
      await this.#undisturbed()
    }
    return { begun: this.#begun, complaints: this.#complaints, met: this.#met, undisturbedMs: this.#undisturbedMs }
  }

  #isOver(): boolean {
    return this.#stopped || Date.now() - this.#begunAt > this.#options.budgetMs
  }

  /** Starts nothing more. */
  stop(): void {
    this.#stopped = true
  }

  async #pair(step: Step): Promise<void> {
    this.#begun++
    this.#note(describeStep(step))
    const run = this.#start(`#${step.number} ${step.run}`, step.run, step.checkout)
    await delay(step.afterMs)
    const struck = await this.#strike(step, run)
    if (struck === undefined) this.#met['missed blow']++
    this.#note(`#${step.number} ${struck === undefined ? 'nothing to hit' : `hit ${struck}`}`)
    const complaints = await run.ended
    this.#met[run.worst]++
    this.#note([`${run.name} ended, met: ${run.worst}`, ...complaints.map(headline)].join('  <<< '))
    this.#complaints.push(...complaints)
  }

  async #strike(step: Step, own: LiveRun): Promise<string | undefined> {
    const field: Field = {
      server: this.server,
      runs: () => [...this.#runs],
      disaster: (until) => this.#disaster(until),
    }
    const deadline = Date.now() + TARGET_MS
    for (;;) {
      const struck = await strike(step, own, field)
      if (struck !== undefined || Date.now() > deadline || !own.living) return struck
      await delay(25)
    }
  }

  #start(name: string, kind: RunKind, checkout: CheckoutName): LiveRun {
    const { root, temporary } = this.#options
    const run = new LiveRun(name, kind, path.join(root, checkout), runEnvironment(temporary))
    this.#runs.add(run)
    if (this.#disasters.size > 0) run.hit('server')
    void run.ended.then(() => this.#runs.delete(run))
    return run
  }

  #disaster(until: Promise<void>): void {
    for (const run of this.#runs) run.hit('server')
    this.#disasters.add(until)
    void until.finally(() => this.#disasters.delete(until))
  }

  /** One run of each kind, one after the other, after whatever the others have left. */
  async #undisturbed(): Promise<void> {
    const checkouts = Object.keys(CHECKOUTS) as CheckoutName[]
    for (const kind of UNDISTURBED) {
      if (this.#stopped) return
      const checkout = checkouts[this.#calm++ % checkouts.length] ?? 'blog'
      const run = this.#start(`undisturbed ${kind} in ${checkout}`, kind, checkout)
      const complaints = await run.ended
      const tookMs = Date.now() - run.startedAt
      this.#undisturbedMs[kind] = Math.max(this.#undisturbedMs[kind], tookMs)
      this.#note([`${run.name} took ${tookMs} ms`, ...complaints.map(headline)].join('  <<< '))
      this.#complaints.push(...complaints)
      if (tookMs > UNDISTURBED_MS) this.#complaints.push(`${run.name} took ${tookMs} ms`)
    }
  }

  #note(text: string): void {
    const line = `${((Date.now() - this.#begunAt) / 1000).toFixed(2).padStart(7)} s  ${text}`
    this.log.push(line)
    if (process.env.TESTDB_CHAOS_VERBOSE) process.stderr.write(`${line}\n`)
  }
}

const headline = (complaint: string): string => complaint.split('\n', 1)[0] ?? ''

/** Nothing of ours but what a user has; the server sleeps soon, so that starting and stopping are in the game too. */
function runEnvironment(temporary: string): Record<string, string> {
  const { PATH = '', HOME = '/' } = process.env
  return { PATH, HOME, TMPDIR: temporary, NO_COLOR: '1', TESTDB_IDLE: '1500' }
}
