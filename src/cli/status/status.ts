/** `testdb status`: what is there and who uses it. */
import { type CommonOptions, loadProject, printWarnings } from '../project.ts'
import type { Terminal } from '../terminal.ts'
import { collectStatus } from './collect.ts'
import { printStatus } from './print.ts'

export interface StatusOptions extends CommonOptions {
  readonly json?: boolean
}

export async function status(options: StatusOptions, terminal: Terminal): Promise<number> {
  printWarnings(terminal)
  const report = await collectStatus(await loadProject(options))
  if (options.json) terminal.out(JSON.stringify(report, null, 2))
  else printStatus(report, terminal)
  return 0
}
