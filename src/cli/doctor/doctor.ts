/** `testdb doctor`: tries the whole set-up the way a run would, and goes on after each problem to find the next one. */
import type { ResolvedConfig } from '../../config/config.ts'
import { subscribe } from '../../events.ts'
import { type CommonOptions, loadProject, openSession } from '../project.ts'
import type { Terminal } from '../terminal.ts'
import { type Check, type DoctorReport, fromError, ok, skipped, warning } from './check.ts'
import { type ConfigValue, configValues } from './configuration.ts'
import { checkInside } from './inside.ts'
import { checkNode, checkPeers } from './machine.ts'
import { printReport } from './print.ts'
import { checkMigrator, checkRunner, checkSeed } from './project-checks.ts'
import { checkServer } from './server.ts'

export interface DoctorOptions extends CommonOptions {
  readonly json?: boolean
}

export async function doctor(options: DoctorOptions, terminal: Terminal): Promise<number> {
  const report = await examine(options)
  if (options.json) terminal.out(JSON.stringify(report, null, 2))
  else printReport(report, terminal)
  return report.ok ? 0 : 1
}

async function examine(options: DoctorOptions): Promise<DoctorReport> {
  const said = new Set<string>()
  subscribe('warning.raised', ({ message }) => said.add(message))
  const checks: Check[] = [checkNode()]
  let configuration: readonly ConfigValue[] = []
  try {
    const config = await loadProject(options)
    configuration = configValues(config)
    checks.push(ok('config', config.file === undefined ? 'no configuration file, defaults are used' : config.file))
    checks.push(...checkPeers(config.root), ...(await checkProject(config)))
  } catch (error) {
    checks.push(fromError('config', error), skipped('project', 'everything else depends on the configuration'))
  }
  checks.push(...[...said].map((message) => warning('warning', message)))
  return { ok: checks.every(({ status }) => status !== 'error'), checks, configuration }
}

async function checkProject(config: ResolvedConfig): Promise<Check[]> {
  const { checks, server } = await checkServer(config)
  const project = [await checkMigrator(config), ...(await checkSeed(config)), checkRunner(config)]
  if (server === undefined) return [...checks, ...project]
  try {
    await using session = await openSession(server.admin)
    return [...checks, ...(await checkInside(session, config, server.ours)), ...project]
  } catch (error) {
    return [...checks, fromError('inside', error), ...project]
  } finally {
    await server.release()
  }
}
