/** `testdb doctor`: tries the whole set-up the way a run would, and goes on after each problem to find the next one. */
import type { ResolvedConfig } from '../../config/config.ts'
import { subscribe } from '../../events.ts'
import { type CommonOptions, loadProject, openSession } from '../project.ts'
import type { Terminal } from '../terminal.ts'
import { type BudgetOptions, budget, productionLike, refuseWithoutBudget } from './budget.ts'
import { type Check, type DoctorReport, fromError, ok, skipped, warning } from './check.ts'
import { type ConfigValue, configValues } from './configuration.ts'
import { checkInside } from './inside.ts'
import { checkKnexPools } from './knex-pools.ts'
import { checkNode, checkPeers } from './machine.ts'
import { printReport } from './print.ts'
import { checkDatabases, checkRunner } from './project-checks.ts'
import { checkServer } from './server.ts'
import { UNCONFIGURED } from './what-if.ts'

export async function doctor(options: BudgetOptions, terminal: Terminal): Promise<number> {
  refuseWithoutBudget(options)
  if (options.budget) return await budget(options, terminal)
  const report = await examine(options)
  if (options.json) terminal.out(JSON.stringify(report, null, 2))
  else printReport(report, terminal)
  return report.ok ? 0 : 1
}

async function examine(options: CommonOptions): Promise<DoctorReport> {
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
  const project = [...(await checkDatabases(config)), checkRunner(config)]
  const pools = (inQuestion = UNCONFIGURED): Promise<Check[]> => checkKnexPools(config, { server: inQuestion })
  if (server === undefined) return [...checks, ...project, ...(await pools())]
  try {
    await using session = await openSession(server.admin)
    const inside = await checkInside(session, config, server)
    return [...checks, ...inside, ...project, ...(await pools(await productionLike(session, config)))]
  } catch (error) {
    return [...checks, fromError('inside', error), ...project, ...(await pools())]
  } finally {
    await server.release()
  }
}
