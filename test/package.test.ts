/** The packed package: what is in it, that every entry resolves and loads, and that loading one does nothing. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { execa } from 'execa'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { globSync } from 'tinyglobby'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'

type Target = string | { readonly [condition: string]: Target }
interface Manifest {
  readonly version: string
  readonly exports: Readonly<Record<string, Target>>
  readonly bin: Readonly<Record<string, string>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly peerDependencies: Readonly<Record<string, string>>
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional: boolean }>>
  readonly engines: { readonly node: string }
}

const installed = path.join(inject('e2eHome'), 'node_modules', 'testdb')
const manifest = JSON.parse(readFileSync(path.join(installed, 'package.json'), 'utf8')) as Manifest
const files = globSync('**/*', { cwd: installed, ignore: ['node_modules/**'], dot: true }).sort()
const read = (file: string): string => readFileSync(path.join(installed, file), 'utf8')

const filesOf = (target: Target): string[] =>
  typeof target === 'string' ? [path.normalize(target)] : Object.values(target).flatMap(filesOf)
const exported = Object.values(manifest.exports).flatMap(filesOf)
/** Started as a process of its own, by its path. */
const SUPERVISOR = 'dist/supervisor.mjs'
const programs = [...Object.values(manifest.bin).map((file) => path.normalize(file)), SUPERVISOR]

/** Specifiers of import, export … from, import() and require() in built code. */
function specifiers(code: string): { readonly fixed: string[]; readonly lazy: string[] } {
  const all = (pattern: RegExp): string[] => [...code.matchAll(pattern)].map((match) => match[1] ?? '')
  return {
    fixed: [
      ...all(/^\s*(?:import|export)\b[^'"()]*?["']([^"']+)["'];?$/gm),
      ...all(/^(?:let|const|var) \w+ = require\("([^"]+)"\)/gm),
    ],
    lazy: all(/(?:\bimport|\brequire)\(\s*["']([^"']+)["']\s*\)/g),
  }
}

describe('contents', () => {
  test('are what the entries need, and nothing else', () => {
    const needed = new Set<string>()
    const visit = (file: string): void => {
      if (needed.has(file)) return
      needed.add(file)
      if (!/\.[cm](js|ts)$/.test(file)) return
      const { fixed, lazy } = specifiers(read(file))
      for (const specifier of [...fixed, ...lazy].filter((one) => one.startsWith('.'))) {
        const target = path.join(path.dirname(file), specifier)
        // In declarations "./x.mjs" means "./x.d.mts".
        visit(/\.d\.[cm]ts$/.test(file) ? target.replace(/\.([cm])js$/, '.d.$1ts') : target)
      }
    }
    const declarations = programs.map((file) => file.replace(/\.mjs$/, '.d.mts')).filter((file) => files.includes(file))
    for (const file of [...exported, ...programs, ...declarations, 'README.md', 'CHANGELOG.md', 'LICENSE']) visit(file)

    expect(files).toEqual([...needed].sort())
  })

  test('have no sources, tests or maps', () => {
    expect(
      files.filter((file) => /(^|\/)(src|test|bench|examples)\/|\.map$|\.test\.|(?<!\.d)\.[cm]?ts$/.test(file)),
    ).toEqual([])
    expect(files.filter((file) => read(file).includes(path.resolve(import.meta.dirname, '..')))).toEqual([])
  })

  test('publint has nothing to say', async () => {
    const { messages, pkg } = await publint({ pkgDir: installed, pack: false, strict: true })

    expect(messages.map((message) => formatMessage(message, pkg, { color: false }))).toEqual([])
  })

  test('the types come first in every entry', () => {
    const check = (target: Target): void => {
      if (typeof target === 'string') return
      const keys = Object.keys(target)
      if (keys.includes('types')) expect(keys[0]).toBe('types')
      for (const nested of Object.values(target)) check(nested)
    }
    for (const target of Object.values(manifest.exports)) check(target)
  })

  test('the command can be executed', async () => {
    const { stdout } = await execa(path.join(inject('e2eHome'), 'node_modules', '.bin', 'testdb'), ['--version'])

    expect(stdout).toBe(manifest.version)
    for (const file of Object.values(manifest.bin))
      expect(statSync(path.join(installed, file)).mode & 0o111).toBe(0o111)
  })
})

const entries = Object.entries(manifest.exports)
  .filter(([, target]) => filesOf(target).some((file) => /\.[cm]js$/.test(file)))
  .map(([name]) => path.posix.join('testdb', name))
/** These import Vitest's own state, which is only there in one of its workers. */
const IN_VITEST_ONLY = ['testdb/vitest/setup', 'testdb/vitest/fixtures']
const IN_NODE = entries.filter((entry) => !IN_VITEST_ONLY.includes(entry))
const requirable = IN_NODE.filter((entry) =>
  filesOf(manifest.exports[`.${entry.slice('testdb'.length)}`] ?? {}).some((file) => file.endsWith('.cjs')),
)

/** Loads an entry and tells what is different afterwards. */
const probe = (load: string): string => `
// Made on first use, by anybody who asks whether it is a terminal.
void [process.stdout, process.stderr]
const look = () => ({
  resources: process.getActiveResourcesInfo(),
  listeners: Object.fromEntries(process.eventNames().map((name) => [String(name), process.listenerCount(name)])),
  env: { ...process.env },
  globals: Object.getOwnPropertyNames(globalThis),
  cwd: process.cwd(),
})
let loaded
process.on('exit', () => {
  require('node:fs').writeSync(3, JSON.stringify({ before, after: look(), exports: Object.keys(loaded) }))
})
const before = look()
${load}
`

/** A project that has testdb with its dependencies, and none of its peers. */
let bare: string
beforeAll(() => {
  bare = mkdtempSync(path.join(tmpdir(), `testdb-e2e-${process.pid}-bare-`))
  const modules = path.join(bare, 'node_modules')
  mkdirSync(modules)
  cpSync(installed, path.join(modules, 'testdb'), { recursive: true })
  const home = path.join(inject('e2eHome'), 'node_modules')
  for (const name of Object.keys(manifest.dependencies)) {
    // Another version than the one at the top lies inside of the package.
    if (existsSync(path.join(modules, 'testdb', 'node_modules', name))) continue
    mkdirSync(path.dirname(path.join(modules, name)), { recursive: true })
    symlinkSync(path.join(home, name), path.join(modules, name))
  }
})
afterAll(() => rmSync(bare, { recursive: true, force: true }))

describe('loading', () => {
  test('every entry is known to these tests', () => {
    expect(entries).toEqual(
      expect.arrayContaining([
        'testdb',
        ...IN_VITEST_ONLY,
        'testdb/vitest',
        'testdb/vitest/plugin',
        'testdb/jest',
        'testdb/jest/db',
        'testdb/migrators',
        'testdb/locks',
        'testdb/pools',
        'testdb/notify',
        'testdb/load',
      ]),
    )
  })

  test.each([
    ...IN_NODE.map((entry) => [entry, 'import'] as const),
    ...requirable.map((entry) => [entry, 'require'] as const),
  ])('%s by %s does nothing and needs no peer', async (entry, how) => {
    const load =
      how === 'import' ? `import('${entry}').then((all) => { loaded = all })` : `loaded = require('${entry}')`
    const run = await execa('node', ['--input-type=commonjs', '--eval', probe(load)], {
      cwd: bare,
      env: { PATH: process.env.PATH ?? '' },
      extendEnv: false,
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      timeout: 20_000,
    })

    expect([run.stdout, run.stderr]).toEqual(['', ''])
    const { before, after, exports } = JSON.parse(String(run.stdio[3]))
    expect(after).toEqual(before)
    if (how === 'import') expect(exports.length).toBeGreaterThan(0)
  })

  test('metrics and load tests without their peers are errors with the install command', async () => {
    const script = `
      import { createPool, monitorPool } from 'testdb/pools'
      import { runLoad } from 'testdb/load'
      const monitor = monitorPool(createPool({ connectionString: 'postgresql://nobody@localhost:1/none' }))
      for (const peer of [monitor.metrics(), runLoad({ url: 'http://localhost:1' })]) {
        await peer.catch(({ code, what }) => console.log(code, what))
      }`
    const { stdout } = await execa('node', ['--input-type=module', '--eval', script], { cwd: bare, timeout: 20_000 })

    expect(stdout.split('\n')).toEqual([
      'TESTDB_PEER_MISSING metrics for Prometheus need the package "prom-client": npm i prom-client',
      'TESTDB_PEER_MISSING runLoad() needs the package "autocannon": npm i -D autocannon',
    ])
  })

  test.each(entries)('%s resolves', async (entry) => {
    const script = `console.log(import.meta.resolve('${entry}'))`
    const { stdout } = await execa('node', ['--input-type=module', '--eval', script], { cwd: bare })

    expect(existsSync(new URL(stdout))).toBe(true)
  })
})

describe('dependencies', () => {
  const code = files.filter((file) => /\.[cm]js$/.test(file))
  const packageOf = (specifier: string): string => specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
  const foreign = (list: readonly string[]): string[] =>
    [...new Set(list.filter((one) => !/^[./]|^node:/.test(one) && !builtinModules.includes(one)).map(packageOf))].sort()

  test('what is imported while loading is a dependency; only the files that run in Vitest import it', () => {
    const imported = code.flatMap((file) => foreign(specifiers(read(file)).fixed).map((name) => ({ file, name })))
    const undeclared = imported.filter(({ name }) => !(name in manifest.dependencies))

    expect(undeclared.filter(({ file }) => !/^dist\/vitest-(setup|fixtures)\.mjs$/.test(file))).toEqual([])
    expect(foreign(undeclared.map(({ name }) => name))).toEqual(['vitest'])
  })

  test('every dependency is used', () => {
    const used = foreign(
      globSync('dist/**/*', { cwd: installed }).flatMap((file) => Object.values(specifiers(read(file))).flat()),
    )
    const types = (name: string): string => name.replace(/^@types\//, '')

    expect(Object.keys(manifest.dependencies).filter((name) => !used.includes(types(name)))).toEqual([])
  })

  test('peers are optional, and each is one that the code asks for by name', () => {
    const text = code.map(read).join('\n')
    const peers = Object.keys(manifest.peerDependencies)

    expect(Object.keys(manifest.peerDependenciesMeta).sort()).toEqual(peers.sort())
    expect(Object.values(manifest.peerDependenciesMeta).every(({ optional }) => optional)).toBe(true)
    // Jest is never imported: it loads us.
    for (const name of peers.filter((peer) => peer !== 'jest'))
      expect(text).toMatch(new RegExp(`["'\`]@?${name}["'\`/]`))
  })
})
