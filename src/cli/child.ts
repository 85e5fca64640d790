/** Runs a command in our place: same terminal, our signals, its exit code. */
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import type { Terminal } from './terminal.ts'

/** What shells answer. */
const NOT_FOUND = 127
const NOT_EXECUTABLE = 126
const KILLED = 128

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export interface ChildOptions {
  readonly env: NodeJS.ProcessEnv
  readonly cwd: string
}

/** Resolves with the exit code when the command has ended. */
export async function runChild(
  words: readonly string[],
  { env, cwd }: ChildOptions,
  terminal: Terminal,
): Promise<number> {
  const [command = '', ...args] = words
  // On Windows npm and most tools are .cmd files, which only a shell can start.
  const shell = process.platform === 'win32'
  const child = spawn(command, shell ? args.map(quoted) : args, { env, cwd, shell, stdio: 'inherit' })
  const stop = forwardSignals((signal) => child.kill(signal))
  try {
    return await new Promise<number>((resolve) => {
      child.once('error', (error: NodeJS.ErrnoException) => {
        const found = error.code !== 'ENOENT'
        terminal.err(`testdb: ${command}: ${found ? `can not be executed (${error.code})` : 'command not found'}`)
        resolve(found ? NOT_EXECUTABLE : NOT_FOUND)
      })
      child.once('exit', (code, signal) => resolve(signal === null ? (code ?? 1) : KILLED + constants.signals[signal]))
    })
  } finally {
    stop()
  }
}

/**
 * Ctrl-C in a terminal reaches the whole foreground group, the command included; a second copy would make runners skip their
 * teardown. So there only a second Ctrl-C is passed on.
 */
function forwardSignals(send: (signal: NodeJS.Signals) => void): () => void {
  let fromTerminal = process.stdin.isTTY === true
  const listeners = FORWARDED.map((signal) => {
    const listener = (): void => {
      if (signal === 'SIGINT' && fromTerminal) fromTerminal = false
      else send(signal)
    }
    process.on(signal, listener)
    return () => void process.off(signal, listener)
  })
  return () => {
    for (const end of listeners) end()
  }
}

function quoted(argument: string): string {
  return /[\s"&|<>^]/.test(argument) ? `"${argument.replaceAll('"', '""')}"` : argument
}
