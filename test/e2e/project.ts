/** Small projects of the end-to-end tests, and running commands in them. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { execa } from 'execa'
import { expect, inject } from 'vitest'
import { findLeftovers, removeServers } from './servers.ts'

export type Files = Readonly<Record<string, string | object>>

export interface Project {
  readonly name: string
  readonly root: string
  /** Writes files; an object becomes JSON. */
  write(files: Files): void
  remove(file: string): void
  /** What the project's own code has noted with `note` of `./note.js`, as long as it was not cleared. */
  notes<T = Record<string, string>>(): T[]
  clearNotes(): void
}

/** How long servers outlive their last session: long enough for the next command of a test, short for a killed test process. */
const IDLE_MS = 5_000
const COMMAND_TIMEOUT_MS = 90_000

const HELD_WORKER = path.join(import.meta.dirname, 'held-worker.cjs')

/** Makes a project folder in the home. Anything left of an earlier run in a kept home is removed, its server's data included. */
export async function makeProject(name: string, files: Files = {}): Promise<Project> {
  const root = path.join(inject('e2eHome'), name)
  if (existsSync(root)) {
    await removeServers({ projectRoot: root })
    rmSync(root, { recursive: true, force: true })
  }
  mkdirSync(root, { recursive: true })
  const notes = path.join(root, 'notes.jsonl')
  const project: Project = {
    name,
    root,
    write(written) {
      for (const [file, content] of Object.entries(written)) {
        const target = path.join(root, file)
        mkdirSync(path.dirname(target), { recursive: true })
        writeFileSync(target, typeof content === 'string' ? content : JSON.stringify(content, null, 2))
      }
    },
    remove: (file) => rmSync(path.join(root, file), { recursive: true }),
    notes: <T>() =>
      (existsSync(notes) ? readFileSync(notes, 'utf8').trimEnd().split('\n') : []).map((line) => JSON.parse(line) as T),
    clearNotes: () => rmSync(notes, { force: true }),
  }
  project.write({ 'package.json': { name, private: true, type: 'module' }, ...files })
  return project
}

export interface Outcome {
  readonly exitCode: number | undefined
  readonly signal: string | undefined
  readonly stdout: string
  readonly stderr: string
  /** Both, in the order they came. */
  readonly output: string
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly timeout?: number
  readonly uid?: number
}

/** Starts a command of the project (its own or one in `node_modules/.bin`), with an environment that knows nothing of us. */
export function startIn(project: Project, command: string, args: readonly string[], options: RunOptions = {}) {
  const preload = command === 'jest' ? `--require ${JSON.stringify(HELD_WORKER)} ` : ''
  const env = { ...options.env, NODE_OPTIONS: `${preload}${options.env?.NODE_OPTIONS ?? ''}` || undefined }
  return execa(command, args, {
    cwd: project.root,
    preferLocal: true,
    localDir: project.root,
    env: environment(project, env),
    extendEnv: false,
    reject: false,
    all: true,
    stdin: 'ignore',
    timeout: options.timeout ?? COMMAND_TIMEOUT_MS,
    forceKillAfterDelay: 2_000,
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
  })
}

export async function runIn(
  project: Project,
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Outcome> {
  return outcomeOf(await startIn(project, command, args, options))
}

export function outcomeOf(result: Awaited<ReturnType<typeof startIn>>): Outcome {
  const { exitCode, signal, stdout, stderr, all } = result
  if (result.timedOut) throw new Error(`${result.escapedCommand} did not end in time:\n${all}`)
  return { exitCode, signal, stdout, stderr, output: all }
}

/** `expect` on an exit code that shows the command's output when it is another one. */
export function expectExit(outcome: Outcome, exitCode: number): Outcome {
  expect(outcome.exitCode, outcome.output).toBe(exitCode)
  return outcome
}

/**
 * Nothing kept Jest or a worker of it alive. That Jest ended a worker is no proof: half a second is not enough for an empty one
 * either, on a machine with much to do. So a worker says by itself what it was held by.
 */
export function expectNothingOpen(outcome: Outcome): void {
  expect(outcome.output).not.toMatch(/did not exit|open handle|worker held by/i)
}

/** Nothing of testdb's on the project's server but sealed templates and clean databases that nobody holds. */
export async function expectNothingLeft(project: Project): Promise<void> {
  // A session of a process that has just ended is in the list of the server for a moment.
  await expect.poll(() => findLeftovers({ projectRoot: project.root }), { timeout: 10_000 }).toEqual([])
}

/** What a running command has printed, for tests that wait for it. */
export interface Live {
  readonly child: ReturnType<typeof startIn>
  output(): string
  /** Waits until the output after the last call of `until` matches, and returns that part. */
  until(pattern: RegExp, timeoutMs?: number): Promise<string>
}

export function follow(child: ReturnType<typeof startIn>): Live {
  let output = ''
  let seen = 0
  let wake = (): void => undefined
  child.all?.on('data', (chunk) => {
    output += chunk
    wake()
  })
  void child.finally(() => wake())
  return {
    child,
    output: () => output,
    async until(pattern, timeoutMs = 30_000) {
      const deadline = Date.now() + timeoutMs
      for (;;) {
        const fresh = output.slice(seen)
        const match = pattern.exec(fresh)
        if (match) {
          const end = match.index + match[0].length
          seen += end
          return fresh.slice(0, end)
        }
        if (child.exitCode !== null || Date.now() > deadline)
          throw new Error(`no ${pattern} in:\n${fresh}\nafter:\n${output.slice(0, seen)}`)
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, 1_000)
          wake = () => {
            clearTimeout(timer)
            resolve()
          }
        })
      }
    },
  }
}

function environment(project: Project, extra: RunOptions['env'] = {}): Record<string, string> {
  const ours = /^(VITEST|TEST|JEST|NODE_|TESTDB|PG|DATABASE_URL|CI$|npm_|FORCE_COLOR|DEV|PROD|MODE|SSR|BASE_URL)/
  const inherited = Object.entries(process.env).filter(([name]) => !ours.test(name))
  const values = {
    ...Object.fromEntries(inherited),
    NO_COLOR: '1',
    TESTDB_IDLE: String(IDLE_MS),
    NOTES: path.join(project.root, 'notes.jsonl'),
    ...extra,
  }
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Record<string, string>
}
