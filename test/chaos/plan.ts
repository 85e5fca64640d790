/** Everything a campaign decides, decided beforehand by its seed: which runs start, and what is hit by what, and when. */
import { CHECKOUTS, type CheckoutName } from './checkouts.ts'
import { type Random, randomOf } from './random.ts'

/** How often each kind is started, and until when (ms) after its start it may be hit: about as long as it takes. */
const KINDS = {
  vitest: { weight: 4, spanMs: 3_000 },
  jest: { weight: 4, spanMs: 3_500 },
  run: { weight: 2, spanMs: 2_000 },
  script: { weight: 3, spanMs: 2_000 },
  prune: { weight: 2, spanMs: 800 },
  reset: { weight: 1, spanMs: 800 },
} as const
export type RunKind = keyof typeof KINDS

/** What of a run can be hit: its first process, all of its process group, or one of the processes that it has started. */
export type RunPart = 'main' | 'group' | 'worker'
export type ServerPart = 'supervisor' | 'postmaster' | 'backend'

export type Blow =
  | { readonly kind: 'signal'; readonly part: RunPart | ServerPart; readonly signal: NodeJS.Signals }
  /** SIGSTOP, and SIGCONT after that time. */
  | { readonly kind: 'pause'; readonly part: RunPart | ServerPart; readonly forMs: number }
  /** pg_terminate_backend on one client session. */
  | { readonly kind: 'cut' }

export interface Step {
  readonly number: number
  readonly run: RunKind
  readonly checkout: CheckoutName
  readonly blow: Blow
  /** From the start of the run to the blow. */
  readonly afterMs: number
  /** True: a blow on a run hits this step's own. False: one of all that live then. */
  readonly own: boolean
  /** From 0 to 1: which of the candidates is hit. */
  readonly pick: number
}

export function planCampaign(seed: number, pairs: number): Step[] {
  const random = randomOf(seed)
  return Array.from({ length: pairs }, (_, index) => planStep(random, index + 1))
}

function planStep(random: Random, number: number): Step {
  const run = random.weighted(weightsOf(KINDS))
  return {
    number,
    run,
    checkout: random.weighted(weightsOf(CHECKOUTS)),
    blow: planBlow(random),
    afterMs: random.between(0, KINDS[run].spanMs),
    own: random.next() < 0.6,
    pick: random.next(),
  }
}

function weightsOf<K extends string>(table: Readonly<Record<K, { readonly weight: number }>>): Record<K, number> {
  const entries = Object.entries(table) as [K, { weight: number }][]
  return Object.fromEntries(entries.map(([key, { weight }]) => [key, weight])) as Record<K, number>
}

function planBlow(random: Random): Blow {
  // The death of a server hits every run: it is rare, so that many runs must pass because nothing has hit them.
  const kind = random.weighted({
    ...{ main: 12, group: 6, worker: 8, supervisor: 12, postmaster: 4, backend: 4 },
    ...{ cut: 16, pause: 24 },
  })
  if (kind === 'cut') return { kind }
  if (kind === 'pause') {
    const part = random.weighted({ main: 4, worker: 3, supervisor: 2, backend: 2, postmaster: 2 })
    // Longer than the start lock's stale time for runs; a server that stands still for longer than 5 s may count as dead.
    const forMs = random.between(200, part === 'main' || part === 'worker' ? 7_000 : 3_000)
    return { kind, part, forMs }
  }
  // A backend that is told to end is a cut; the other signals of a postmaster are its three ways to shut down.
  const signals = {
    backend: { SIGKILL: 1 },
    postmaster: { SIGKILL: 3, SIGQUIT: 1, SIGINT: 1, SIGTERM: 1 },
  }
  const usual = { SIGKILL: 3, SIGTERM: 1, SIGINT: 1 }
  const signal = random.weighted(kind === 'backend' || kind === 'postmaster' ? signals[kind] : usual)
  return { kind: 'signal', part: kind, signal: signal as NodeJS.Signals }
}

export function describeStep({ number, run, checkout, blow, afterMs, own, pick }: Step): string {
  const what =
    blow.kind === 'cut'
      ? 'cut a session'
      : `${blow.kind === 'signal' ? blow.signal : `SIGSTOP for ${blow.forMs} ms`} to ${blow.part}`
  return `#${number} ${run} in ${checkout}, after ${afterMs} ms: ${what} (${own ? 'own' : 'any'}, ${pick.toFixed(3)})`
}
