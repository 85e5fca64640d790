/** `testdb status`: what is there and who uses it. */
import { type CommonOptions, loadProject, printWarnings } from '../project.ts'
import type { Terminal } from '../terminal.ts'
import { collectStatus } from './collect.ts'
import { printStatus } from './print.ts'

export interface StatusOptions extends CommonOptions {
  readonly json?: boolean
  readonly watch?: boolean
}

export async function status(options: StatusOptions, terminal: Terminal): Promise<number> {
  printWarnings(terminal)
  const config = await loadProject(options)
  if (options.watch) return await (await import('./watch.ts')).watchStatus(config, options.json === true, terminal)
  const report = await collectStatus(config)
  if (options.json) terminal.out(JSON.stringify(report, null, 2))
  else printStatus(report, terminal)
  return 0
}
