/** Where `status --watch` shows the status: redrawn on a terminal, what has changed and when on a pipe, a line of JSON for each change. */
import { createLogUpdate } from 'log-update'
import type { Terminal } from '../terminal.ts'
import { printStatus } from './print.ts'
import type { StatusReport } from './report.ts'

export interface Screen {
  show(report: StatusReport): void
  /** The server is gone, or can not be asked. */
  lost(reason: string): void
  end(): void
}

export function screenFor(terminal: Terminal, json: boolean): Screen {
  if (json) return jsonLines(terminal)
  return process.stdout.isTTY === true && process.env.TERM !== 'dumb' ? redrawn(terminal) : changes(terminal)
}

const waitingFor = (reason: string): string => `no server: ${reason.split('\n', 1)[0]}; waiting for it`

function redrawn(terminal: Terminal): Screen {
  // Hiding the cursor would need exit handlers, and a killed process would leave it hidden.
  const live = createLogUpdate(process.stdout, { showCursor: true })
  const draw = (lines: readonly string[]): void =>
    live([...lines, terminal.colours.dim(`${clock()} · Ctrl-C ends it`)].join('\n'))
  return {
    show: (report) => draw(linesOf(report, terminal)),
    lost: (reason) => draw([terminal.colours.red(waitingFor(reason))]),
    end: () => live.done(),
  }
}

/** A block is a title with the indented lines below it. */
function changes(terminal: Terminal): Screen {
  let shown = new Map<string, string>()
  let lost: string | undefined
  return {
    show(report) {
      const blocks = blocksOf(linesOf(report, terminal))
      const fresh = [...blocks].filter(
        ([name, text]) =>
          lost !== undefined ||
          shown.get(name) === undefined ||
          withoutTimes(shown.get(name) ?? '') !== withoutTimes(text),
      )
      // A server that has stopped has said so.
      const gone = [...shown.keys()].filter(
        (name) => !blocks.has(name) && blocks.has(name.replace(/(?<=^\d+ ).*/, 'runs')),
      )
      shown = blocks
      lost = undefined
      if (fresh.length + gone.length === 0) return
      terminal.out(`-- ${clock()}`)
      for (const [, text] of fresh) terminal.out(text)
      for (const name of gone) terminal.out(`${name.replace(/^\d+ /, '')} (0)`)
    },
    lost(reason) {
      if (reason === lost) return
      lost = reason
      terminal.out(`-- ${clock()}\n${waitingFor(reason)}`)
    },
    end: () => undefined,
  }
}

function jsonLines(terminal: Terminal): Screen {
  let shown: string | undefined
  const out = (value: object): void => {
    // Ages alone are no change.
    const key = JSON.stringify(value, (name, inner) => (/(Seconds|Ms)$/.test(name) ? undefined : inner))
    if (key !== shown) terminal.out(JSON.stringify(value))
    shown = key
  }
  return { show: out, lost: (reason) => out({ lost: reason.split('\n', 1)[0] }), end: () => undefined }
}

function linesOf(report: StatusReport, terminal: Terminal): string[] {
  const lines: string[] = []
  printStatus(report, { ...terminal, out: (line) => lines.push(line) })
  return lines
}

/** By the number of the server and the title. */
function blocksOf(lines: readonly string[]): Map<string, string> {
  const blocks = new Map<string, string>()
  let server = 1
  let name = ''
  for (const line of lines) {
    if (line === '') server += 1
    else if (line.startsWith(' ')) blocks.set(name, `${blocks.get(name)}\n${line}`)
    else {
      name = `${server} ${/^[a-z]+( [a-z]+)?/.exec(line)?.[0] ?? line}`
      blocks.set(name, line)
    }
  }
  return blocks
}

const withoutTimes = (text: string): string => text.replace(/\d+ min \d+ s|\d+(\.\d+)? s\b/g, '')

/** `12:03:59`, in the time of this machine. */
const clock = (): string => new Date().toTimeString().slice(0, 8)
