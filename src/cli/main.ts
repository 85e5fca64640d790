#!/usr/bin/env node
/**
 * The command `testdb`. Exit codes: 0 done, 1 failed or refused, 2 wrong usage; `run` gives the code of its command.
 * Data goes to stdout, everything else to stderr.
 */
import { CommanderError } from 'commander'
import { WrongUsage } from './arguments.ts'
import { describeError } from './describe-error.ts'
import { createProgram } from './program.ts'
import { createTerminal, flush } from './terminal.ts'

async function main(): Promise<number> {
  const terminal = createTerminal()
  let code = 0
  const program = createProgram(terminal, (result) => {
    code = result
  })
  try {
    await program.parseAsync(process.argv)
    return code
  } catch (error) {
    // Commander has printed its message already; help and version end this way too, with exit code 0.
    if (error instanceof WrongUsage) terminal.err(error.message)
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    terminal.err(describeError(error, { stack: process.env.TESTDB_LOG === 'debug' }))
    return 1
  }
}

// The reader of a pipe has seen enough (`testdb status | head -1`).
process.stdout.on('error', () => process.exit(0))

// An explicit exit, because a project's own configuration may have left something open that would keep the process alive.
void main().then(async (code) => {
  await flush()
  process.exit(code)
})
