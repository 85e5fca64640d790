/** Tells a waiting human what testdb is doing. Everything it knows comes from events; everything goes to stderr. */
import { type EventName, type Events, type MigrationStep, subscribe } from '../events.ts'
import { plainDisplay, type Tone } from './display.ts'
import { formatDuration, plural } from './format.ts'
import { isLogged } from './observe.ts'
import { terminalDisplay } from './terminal-display.ts'
import { describeWaiting } from './waiting.ts'

export interface ProgressOptions {
  /** Never stdout: reporters that write JSON there share it with us. @default process.stderr */
  readonly stream?: NodeJS.WritableStream & { readonly isTTY?: boolean }
  /** A live line instead of plain ones. @default on a terminal, unless CI is set */
  readonly interactive?: boolean
  /** Time between two plain lines about the same long work. @default 3000 */
  readonly intervalMs?: number
}

interface Phase {
  /** Events of one kind belong to the same work and go on with its clock. */
  readonly kind: string
  readonly startedAt: number
  text: string
}

/**
 * Shows progress until the returned function is called. Short work shows nothing while it runs; what matters afterwards
 * (the chosen migrator, a server that was started, a template that was built, healed locks, warnings) gets one line each.
 */
export function showProgress(options: ProgressOptions = {}): () => void {
  const stream = options.stream ?? process.stderr
  const interactive = options.interactive ?? (stream.isTTY === true && !isCi() && process.env.TERM !== 'dumb')
  const display = interactive
    ? terminalDisplay(stream, !process.env.NO_COLOR)
    : plainDisplay(stream, options.intervalMs ?? 3_000)
  const said = new Set<string>()
  const endings: (() => void)[] = []
  let phase: Phase | undefined
  let timer: NodeJS.Timeout | undefined

  /** A broken stream or a bug in here must not fail a test run: listeners of a channel throw into the process. */
  function safely(action: () => void): void {
    try {
      action()
    } catch {}
  }
  function on<N extends EventName>(name: N, listener: (event: Events[N]) => void): void {
    endings.push(subscribe(name, (event) => safely(() => listener(event))))
  }
  function once(key: string, text: string, tone?: Tone): void {
    if (said.has(key)) return
    said.add(key)
    display.line(text, tone)
  }
  function render(): void {
    if (phase === undefined) return
    const elapsed = performance.now() - phase.startedAt
    if (elapsed >= display.patienceMs) display.progress(phase.text, formatDuration(elapsed))
  }
  function enter(kind: string, text: string, elapsedMs = 0): void {
    if (phase?.kind === kind) phase.text = text
    else {
      finish()
      phase = { kind, text, startedAt: performance.now() - elapsedMs }
      timer = setInterval(() => safely(render), display.tickMs)
      timer.unref()
    }
    render()
  }
  function finish(): void {
    clearInterval(timer)
    phase = undefined
    display.clear()
  }

  on('server.chosen', ({ kind, reason }) => {
    const choice = `using ${kind === 'testcontainers' ? 'a container' : kind} as the server, because ${reason}`
    once(choice, choice)
  })
  on('server.starting', ({ summary }) => enter('start', summary))
  on('server.started', ({ summary, durationMs, attached }) => {
    finish()
    if (!attached) display.line(`started ${summary} in ${formatDuration(durationMs)}`)
  })
  on('migrator.detected', ({ name, summary, reason }) => {
    const tool = summary.startsWith(`${name}:`) || summary.startsWith(`${name} `) ? summary : `${name}: ${summary}`
    const choice = `using ${tool}, because ${reason}`
    once(choice, choice)
  })
  on('leader.waiting', ({ leader, step, elapsedMs }) => {
    const who = leader === undefined ? 'another process' : `pid ${leader.pid} on ${leader.host}`
    const at = step === undefined ? '' : ` · migration ${describeStep(step)}`
    enter('wait', `waiting for ${who}${at}`, elapsedMs)
  })
  on('leader.elected', ({ template, takeover }) => {
    if (takeover) display.line(`taking over ${template}: the process that was building it has gone`, 'warning')
    enter('prepare', `preparing ${template}`)
  })
  on('migration.started', (step) => enter('migrate', `migrating ${describeStep(step)}`))
  on('seed.started', ({ name }) => enter('seed', `seeding ${name}`))
  on('template.built', ({ template, migrations, durationMs }) => {
    finish()
    display.line(`built template ${template}: ${plural(migrations, 'migration')} in ${formatDuration(durationMs)}`)
  })
  on('template.reused', ({ template, waitedMs }) => {
    finish()
    if (waitedMs >= 1_000) display.line(`template ${template} is ready after ${formatDuration(waitedMs)}`)
  })
  on('budget.waiting', (event) => enter('budget', describeWaiting(event), event.elapsedMs))
  on('budget.reserved', ({ waitedMs }) => {
    finish()
    if (waitedMs >= 1_000) display.line(`it is this run's turn after ${formatDuration(waitedMs)}`)
  })
  // The error that follows says why; a line in front of it would only push it down.
  on('template.failed', finish)
  on('database.acquired', finish)
  on('lock.waiting', ({ table, holders, elapsedMs, severity }) => {
    const by = holders.length === 0 ? '' : `, held by ${holders.join('; ')}`
    // Once for each severity and not for each text: holders come with ages that change.
    if (severity !== 'info') once(`${table} ${severity}`, `the lock of ${table} is not released${by}`, severity)
    enter('lock', `waiting for the lock of ${table}${by}`, elapsedMs)
  })
  on('lock.healed', ({ database, table, found }) => {
    finish()
    const healed = `healed the stuck lock ${table} in ${database} (${found})`
    once(healed, healed, 'warning')
  })
  on('warning.raised', ({ message }) => {
    if (!isLogged()) once(message, `warning: ${message}`, 'warning')
  })

  return () => {
    for (const end of endings.splice(0)) end()
    safely(finish)
  }
}

function describeStep({ index, total, name }: MigrationStep): string {
  return `${index}/${total} ${name}`
}

function isCi(): boolean {
  return !['', '0', 'false'].includes(process.env.CI?.toLowerCase() ?? '')
}
