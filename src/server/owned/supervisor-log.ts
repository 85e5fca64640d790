/** What the supervisor says, for whoever wonders afterwards: one line each, in `supervisor.log`, which is its output. */
export function note(text: string): void {
  process.stdout.write(`${new Date().toISOString()} ${text}\n`)
}
