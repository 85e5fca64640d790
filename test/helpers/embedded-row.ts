/**
 * One row of the embedded server's crash table: a cache folder of its own, a starter or a supervisor that stops at a step,
 * and a look at everything that is left afterwards.
 */
import { type ChildProcess, execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { chooseAccount } from '../../src/server/embedded/account.ts'
import { layoutOf, passThrough, shortHash } from '../../src/server/embedded/locations.ts'
import type { Server } from '../../src/server/server.ts'
import type { Step } from '../../src/steps.ts'
import { builtFile, copyBuilt } from './built.ts'
import { type ActorMessage, eventually, isAlive, type Lab, type Module, outcomeOf, withAdmin } from './embedded.ts'
import { binaries, CLUSTER } from './packages.ts'
import { type StopPoint, stopAt } from './stop-at.ts'

export interface Row extends AsyncDisposable {
  readonly options: ReturnType<Lab['options']>
  readonly folder: string
  /** True when it has begun with data. */
  readonly sound: boolean
  readonly stop: StopPoint
  /** A start in a process of its own; whichever process it is that comes to the step stops there. */
  start(more?: { idleMs?: number }): Promise<ActorMessage>
  /** A start in this process. */
  next(): Promise<Server>
  status(): ReturnType<Lab['status']>
  /** Looks as if nobody had attached for a long time. */
  forgetAttach(): Promise<void>
  starters(): readonly ChildProcess[]
  /** True when nobody is starting or stopping. */
  hasNoLock(): boolean
  postmasters(): number[]
  supervisors(): number[]
  /** One server, one supervisor, nothing of the dead ones; stops it, and then nothing at all is left but the data. */
  expectClean(server: Server): Promise<void>
}

/** A stopped server's cache folder with a table `kept` in it, for rows to copy. */
export async function makeSound(lab: Lab): Promise<string> {
  const options = lab.options()
  await withAdmin(await lab.module.startEmbedded(options), async (session) => {
    await session.query('create table kept as select 1 as one')
  })
  await lab.module.stopEmbedded(options)
  return options.cacheDir
}

export async function hasTable(server: Server): Promise<boolean> {
  return await withAdmin(server, async (session) => {
    const { rows } = await session.query<{ there: boolean }>(`select to_regclass('kept') is not null as there`)
    return rows[0]?.there === true
  })
}

/** `sound` is where to copy the data from; without it the first start makes a new cluster. */
export async function openRow(lab: Lab, step: Step, sound?: string): Promise<Row> {
  const stop = await stopAt(step)
  const build = await copyBuilt(step.startsWith('boot.') ? undefined : stop)
  const { startEmbedded, stopEmbedded } = (await import(builtFile('embedded', build))) as Module
  const options = lab.options()
  const layout = layoutOf(options.cacheDir, binaries.major)
  if (sound !== undefined) await copyData(sound, options.cacheDir)
  const dataDir = path.join(layout.diskCluster, 'data')
  const postmasters = (): number[] => pidsWhere((argv) => argv[0]?.endsWith('/postgres') && argv[2] === dataDir)
  const supervisors = (): number[] => pidsWhere((argv) => argv[1] === path.join(build, 'supervisor.mjs'))
  const sockets = (): string[] => namesIn('/tmp', new RegExp(`^testdb-${shortHash(layout.folder)}-`))
  const starters: ChildProcess[] = []
  const row: Row = {
    options,
    folder: layout.folder,
    sound: sound !== undefined,
    stop,
    async start({ idleMs = options.idleMs } = {}) {
      const starter = lab.spawn({ ...options, idleMs }, { build, stop })
      starters.push(starter)
      return await outcomeOf(starter)
    },
    starters: () => starters,
    hasNoLock: () => !existsSync(layout.lock),
    next: () => startEmbedded(options),
    status: () => lab.status(options),
    forgetAttach: () => utimes(layout.state, 0, 0),
    postmasters,
    supervisors,
    async expectClean(server) {
      await eventually('there is one server', () => postmasters().length === 1)
      await eventually('there is one supervisor', () => supervisors().length === 1)
      const { pid, supervisorPid } = await row.status()
      same('the server', [pid], postmasters())
      same('the supervisor', [supervisorPid], supervisors())
      same('socket folders', [path.basename(server.admin.host)], sockets())
      const all = ['cluster', 'server.log', 'state.json', 'supervisor.log']
      same('files of the running server', all, (await readdir(layout.folder)).sort())

      same('it was running', [true], [await stopEmbedded(options)])
      await eventually('no supervisor is left', () => supervisors().length === 0)
      same('servers', [], postmasters())
      same('socket folders', [], sockets())
      same('files', ['cluster', 'server.log', 'supervisor.log'], (await readdir(layout.folder)).sort())
    },
    async [Symbol.asyncDispose]() {
      for (const starter of starters) starter.kill('SIGKILL')
      await stop[Symbol.asyncDispose]()
      await stopEmbedded(options).catch(() => undefined)
      for (const pid of [...supervisors(), ...postmasters()]) process.kill(pid, 'SIGKILL')
    },
  }
  return row
}

/** Ends it as the out-of-memory killer does (SIGKILL) or as somebody who asks; then it has to go on to hear of it. */
export async function end(pid: number, signal: 'SIGKILL' | 'SIGTERM', stop: StopPoint): Promise<void> {
  process.kill(pid, signal)
  if (signal === 'SIGTERM') await stop.resume()
  await eventually(`process ${pid} is gone`, async () => !(await isAlive(pid)))
}

/** Copies what `makeSound` has made, under another name: by it the processes of a dead server are found, and ended. */
export async function copyData(sound: string, cacheDir: string): Promise<void> {
  const from = path.join(sound, CLUSTER)
  const to = path.join(cacheDir, CLUSTER)
  const mode = passThrough(chooseAccount())
  await mkdir(to, { recursive: true, mode })
  await promisify(execFile)('cp', ['-a', path.join(from, 'cluster'), to])
  const file = path.join(to, 'cluster/cluster.json')
  const cluster = JSON.parse(await readFile(file, 'utf8')) as { name: string }
  await writeFile(file, JSON.stringify({ ...cluster, name: `testdb-${shortHash(to)}` }))
}

function pidsWhere(matches: (argv: string[]) => boolean | undefined): number[] {
  return namesIn('/proc', /^\d+$/)
    .map(Number)
    .filter((pid) => {
      try {
        return matches(readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0'))
      } catch {
        // It has ended meanwhile.
        return false
      }
    })
}

function namesIn(folder: string, pattern: RegExp): string[] {
  return readdirSync(folder).filter((name) => pattern.test(name))
}

function same(what: string, expected: readonly unknown[], actual: readonly unknown[]): void {
  if (JSON.stringify(actual) === JSON.stringify(expected)) return
  throw new Error(`${what}: expected ${JSON.stringify(expected)}, and there is ${JSON.stringify(actual)}`)
}
