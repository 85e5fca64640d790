/** `testdb doctor --budget`: the connections of the test server, or those of an application in production as a "what if". */
import type { ResolvedConfig } from '../../config/config.ts'
import { readConnectionFacts } from '../../coordination/index.ts'
import { isTestDbError, TestDbError } from '../../errors.ts'
import { noServer, openServer } from '../../open-server.ts'
import { describeTarget, type Session } from '../../postgres/index.ts'
import { WrongUsage } from '../arguments.ts'
import { type CommonOptions, loadProject, openSession, printWarnings } from '../project.ts'
import type { Terminal } from '../terminal.ts'
import { type Check, fromError } from './check.ts'
import { checkKnexPools } from './knex-pools.ts'
import { printChecks } from './print.ts'
import { budgetTables, needOf, type RunBudget, runBudget, verdict } from './run-share.ts'
import { checkServer } from './server.ts'
import { printTables, type Table } from './table.ts'
import { type ServerInQuestion, UNCONFIGURED, type WhatIf, type WhatIfQuestion, whatIf } from './what-if.ts'
import { loadCheck, loadTable, lockPoolCheck, serverCheck, serverTable } from './what-if-checks.ts'

interface WhatIfOptions extends Omit<WhatIfQuestion, 'server'> {
  readonly maxConnections?: number
}

export interface BudgetOptions extends CommonOptions, WhatIfOptions {
  readonly json?: boolean
  readonly budget?: boolean
}

/** The stable shape of `testdb doctor --budget --json`. */
export interface BudgetReport {
  /** False when it does not fit. */
  readonly ok: boolean
  readonly checks: readonly Check[]
  /** Null when the question was about an application, or when the server can not be used. */
  readonly budget: RunBudget | null
  /** Null when the question was about the test server. */
  readonly whatIf: (Omit<WhatIf, 'server'> & { readonly server: WhatIf['server'] | null }) | null
}

interface Answer {
  readonly report: BudgetReport
  readonly tables: readonly Table[]
}

/** Wrong usage unless `--budget` is there too. */
export function refuseWithoutBudget(options: BudgetOptions): void {
  const [key] = asked(options)
  if (key === undefined || options.budget) return
  const flag = `--${key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
  throw new WrongUsage(
    `${flag} asks about connections and needs --budget: npx testdb doctor --budget ${flag} ${options[key]}`,
  )
}

export async function budget(options: BudgetOptions, terminal: Terminal): Promise<number> {
  printWarnings(terminal)
  const config = await loadProject(options)
  const { report, tables } = asked(options).length > 0 ? await application(options, config) : await testServer(config)
  if (options.json) terminal.out(JSON.stringify(report, null, 2))
  else {
    if (tables.length > 0) printTables(tables, terminal)
    printChecks(report.checks, terminal)
  }
  return report.ok ? 0 : 1
}

const KEYS = ['users', 'background', 'maintenance', 'pool', 'pods', 'lockPool', 'maxConnections'] as const

const asked = (options: WhatIfOptions): (typeof KEYS)[number][] => KEYS.filter((key) => options[key] !== undefined)

async function application(options: WhatIfOptions, config: ResolvedConfig): Promise<Answer> {
  const { users, background, maintenance, pods, lockPool, maxConnections } = options
  const aboutLoad = [users, background, maintenance].some((number) => number !== undefined)
  const aboutServer = !aboutLoad || [pods, lockPool, maxConnections].some((number) => number !== undefined)
  const question = { ...options, server: aboutServer ? await serverInQuestion(maxConnections, config) : UNCONFIGURED }
  const answer = whatIf(question)
  const { load } = answer
  const tables: Table[] = []
  const checks: Check[] = []
  if (load !== null) {
    tables.push(loadTable({ ...answer, load }, options.pool !== undefined))
    checks.push(loadCheck({ ...answer, load }, aboutServer))
  }
  if (aboutServer) {
    tables.push(serverTable(answer))
    checks.push(serverCheck(answer))
  }
  const locks = lockPoolCheck(answer)
  if (locks !== undefined) checks.push(locks)
  checks.push(...(await checkKnexPools(config, question)))
  const shown = { ...answer, server: aboutServer ? answer.server : null }
  return { report: { ok: isOk(checks), checks, budget: null, whatIf: shown }, tables }
}

/** An embedded server says nothing about production, so it is not asked. */
async function serverInQuestion(given: number | undefined, config: ResolvedConfig): Promise<ServerInQuestion> {
  if (given !== undefined) return { ...UNCONFIGURED, maxConnections: given, origin: '--max-connections' }
  if (config.server.kind !== 'url') return UNCONFIGURED
  try {
    const server = await openServer(config)
    await using session = await openSession(server.admin)
    return await productionLike(session, config)
  } catch (error) {
    if (!isTestDbError(error)) throw error
    const { code, what, details } = error
    const fixes = ['Add `--max-connections <n>` to answer without that server.', ...error.fixes]
    throw new TestDbError(code, what, { details, fixes, cause: error })
  }
}

/** The server of a URL stands for the one in production, without the sessions that it has right now. */
export async function productionLike(session: Session, config: ResolvedConfig): Promise<ServerInQuestion> {
  if (config.server.kind !== 'url') return UNCONFIGURED
  const { maxConnections, reserved } = await readConnectionFacts(session)
  return { maxConnections, reserved, origin: describeTarget(session.target) }
}

async function testServer(config: ResolvedConfig): Promise<Answer> {
  if (config.server.kind === 'pg-mem') throw noServer()
  const { checks: before, server } = await checkServer(config)
  const failed = before.filter(({ status }) => status === 'error')
  if (server === undefined) return notUsable([...failed, ...(await checkKnexPools(config, { server: UNCONFIGURED }))])
  try {
    await using session = await openSession(server.admin)
    const found = runBudget(await readConnectionFacts(session), needOf(config))
    const question = { server: await productionLike(session, config) }
    const checks = [
      ...before.filter(({ id }) => id === 'server'),
      verdict(found),
      ...(await checkKnexPools(config, question)),
    ]
    return { report: { ok: isOk(checks), checks, budget: found, whatIf: null }, tables: budgetTables(found) }
  } catch (error) {
    return notUsable([fromError('server', error)])
  } finally {
    await server.release()
  }
}

const notUsable = (checks: readonly Check[]): Answer => ({
  report: { ok: false, checks, budget: null, whatIf: null },
  tables: [],
})

const isOk = (checks: readonly Check[]): boolean => checks.every(({ status }) => status !== 'error')
