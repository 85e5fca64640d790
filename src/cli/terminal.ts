/** Where commands write to. */
import { createColors } from 'picocolors'

export type Colours = ReturnType<typeof createColors>

export interface Terminal {
  /** One line of data, to stdout. */
  out(line: string): void
  /** One line for people, to stderr. */
  err(line: string): void
  /** For lines to stdout; they do nothing when that is no terminal. */
  readonly colours: Colours
}

export function createTerminal(): Terminal {
  return {
    out: (line) => void process.stdout.write(`${line}\n`),
    err: (line) => void process.stderr.write(`${line}\n`),
    colours: createColors(isColourful(process.stdout)),
  }
}

/** picocolors' own answer is yes in CI, where output goes to files and other programs. */
function isColourful(stream: NodeJS.WriteStream): boolean {
  return stream.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb'
}

/** Writes to pipes are asynchronous on some systems, and `process.exit` does not wait for them. */
export async function flush(): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) {
    await new Promise<void>((resolve) => stream.write('', () => resolve()))
  }
}
