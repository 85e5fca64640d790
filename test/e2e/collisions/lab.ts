/** What the collision tests share: a server that several checkouts use by URL, and runs that are held while somebody looks. */
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { execa } from 'execa'
import { expect, inject } from 'vitest'
import { type ConnectionTarget, formatUrl, ident, type Session, withSession } from '../../../src/postgres/index.ts'
import { startTestServer } from '../../helpers/plain-postgres.ts'
import { expectExit, type Files, type Outcome } from '../project.ts'
import { type Inventory, inventoryOf, leftoversOf } from '../servers.ts'

export interface Registry {
  /** For TESTDB_URL. */
  readonly url: string
  readonly target: ConnectionTarget
  inventory(): Promise<Inventory>
  ask<R>(sql: string, values?: readonly unknown[]): Promise<R[]>
  /** No session, no run row, no lease: only sealed templates and clean databases that nobody holds. */
  expectNothingLeft(): Promise<void>
}

export interface UrlServer {
  /** Makes a database in which testdb may coordinate. */
  registry(database: string): Promise<Registry>
  stop(): Promise<void>
}

/** A server that testdb did not start; gone when this process is. */
export async function startUrlServer(): Promise<UrlServer> {
  const { admin, stop } = await startTestServer()
  const using = <T>(target: ConnectionTarget, body: (session: Session) => Promise<T>): Promise<T> =>
    withSession(target, { applicationName: 'e2e test' }, body)
  return {
    stop,
    async registry(database) {
      await using(admin, (session) => session.query(`create database ${ident(database)} template template0`))
      const target = { ...admin, database }
      return {
        url: formatUrl(target),
        target,
        inventory: () => using(target, inventoryOf),
        ask: async <R>(sql: string, values: readonly unknown[] = []) =>
          (await using(target, (session) => session.query<R & Record<string, unknown>>(sql, [...values]))).rows,
        async expectNothingLeft() {
          // A session of a process that has just ended is in the list of the server for a moment.
          await expect.poll(() => using(target, allOf), { timeout: 10_000 }).toEqual([])
        },
      }
    },
  }
}

async function allOf(session: Session): Promise<string[]> {
  const { rows } = await session.query<{ id: number }>('select id from testdb.runs')
  return [...(await leftoversOf(session)), ...rows.map(({ id }) => `the row of run ${id}`)]
}

/** Packages that only one test needs, installed once for each home; returns the folder that has their `node_modules`. */
export async function extraPackages(name: string, packages: readonly string[]): Promise<string> {
  const folder = path.join(inject('e2eHome'), `packages-${name}`)
  const complete = path.join(folder, 'complete')
  if (existsSync(complete)) return folder
  mkdirSync(folder, { recursive: true })
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ name: `packages-${name}`, private: true }))
  const options = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts']
  await execa('npm', ['install', ...options, ...packages], { cwd: folder, timeout: 240_000 })
  writeFileSync(complete, '')
  return folder
}

/** Makes packages of `extraPackages` those that code in a folder finds first. */
export function linkPackages(from: string, to: string, names: readonly string[]): void {
  for (const name of names) {
    const link = path.join(to, 'node_modules', name)
    mkdirSync(path.dirname(link), { recursive: true })
    symlinkSync(path.join(from, 'node_modules', name), link)
  }
}

/** `await until(check)` and `await gate()` from './wait.js': a test that stays in its run until the outside has looked. */
export const WAIT_ESM: Files = {
  'wait.js': `import { existsSync } from 'node:fs'
export async function until(check) {
  const deadline = Date.now() + 80_000
  while (!check()) {
    if (Date.now() > deadline) throw new Error('waited too long')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
export const gate = () => until(() => existsSync(process.env.GATE))
`,
}

export interface Held {
  readonly runs: readonly Promise<Outcome>[]
  /** The file that the runs wait for. */
  readonly gate: string
  /** True when all of them have come to the gate. */
  readonly arrived: () => boolean
}

/** Calls `body` while all runs are at their gate, then opens it and expects all of them to pass. */
export async function whileHeld({ runs, gate, arrived }: Held, body: () => Promise<void>): Promise<Outcome[]> {
  let early: Outcome | undefined
  void Promise.race(runs).then((outcome) => {
    early = outcome
  })
  let problem: unknown
  try {
    await expect.poll(() => early !== undefined || arrived(), { timeout: 80_000, interval: 30 }).toBe(true)
    // Nobody may pass without having been held.
    expect(early?.output, 'a run ended before all had come').toBeUndefined()
    await body()
  } catch (error) {
    problem = error
  } finally {
    writeFileSync(gate, '')
  }
  const outcomes = await Promise.all(runs)
  rmSync(gate)
  if (problem !== undefined) throw problem
  for (const outcome of outcomes) expectExit(outcome, 0)
  return outcomes
}
