/** Who hears what testdb says, once each, and without harm. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createTestDb } from '../../src/create-test-db.ts'
import { publish } from '../../src/events.ts'
import { functionMigrator } from '../../src/migrators/function.ts'
import { isLogged, observe, sayOnStderr } from '../../src/report/observe.ts'
import { showProgress } from '../../src/report/progress.ts'

let said: string[]
beforeEach(() => {
  said = []
  vi.spyOn(process.stderr, 'write').mockImplementation((line) => said.push(String(line)) > 0)
})
afterEach(() => void vi.restoreAllMocks())

function logger() {
  const lines: string[] = []
  const log = (level: string) => (message: string) => void lines.push(`${level}: ${message}`)
  return { lines, info: log('info'), warn: log('warn'), error: log('error') }
}

const finding = (level: 'error' | 'warn') => ({
  ...{ guard: 'openPool', level, test: 'a', file: 'a.test.ts', message: `a ${level}`, details: {} },
})

function sayAll(): void {
  publish('warning.raised', { message: 'a warning' })
  publish('finding.raised', finding('warn'))
  publish('finding.raised', finding('error'))
  publish('connection.recovered', { what: 'a pool', cause: 'ended', downMs: 1_234 })
}

const RECOVERED = 'a pool was lost (ended) and is back after 1.2 s'

test('a logger gets all of it by its level, and stderr none; without one stderr gets what nobody else says', () => {
  sayOnStderr()
  sayOnStderr()
  const own = logger()
  const ends = [observe('file', { logger: own }), observe('file', { logger: own })]
  const endProgress = showProgress({ interactive: false })
  expect(isLogged()).toBe(true)
  sayAll()
  expect(own.lines).toEqual(['warn: a warning', 'warn: a warn', 'error: a error', `warn: ${RECOVERED}`])
  ends[0]?.()
  ends[0]?.()
  publish('warning.raised', { message: 'another' })
  expect(own.lines.at(-1)).toBe('warn: another')
  expect(said).toEqual([])
  ends[1]?.()
  endProgress()
  expect(isLogged()).toBe(false)
  sayAll()
  // Guards print what they find, with what to do about it.
  expect(said).toEqual(['testdb: a warning\n', `testdb: ${RECOVERED}\n`])
  expect(own.lines).toHaveLength(5)
})

test('what they throw or reject with is said once and harms nobody', async () => {
  const fail = () => {
    throw new Error('mine')
  }
  const heard: string[] = []
  const rejects = () => Promise.reject(new Error('async'))
  const ends = [
    observe('d', { logger: { info: rejects, warn: rejects, error: rejects } as never }),
    observe('a', { logger: { info: fail, warn: fail, error: fail } }),
    observe('b', { onEvent: () => Promise.reject(new Error('late')) }),
    observe('c', { onEvent: (event: never) => heard.push((event as { name: string }).name) }),
  ]
  sayAll()
  await new Promise((resolve) => setImmediate(resolve))
  expect(said.sort()).toEqual([
    'testdb: logger of the configuration has thrown: async\n',
    'testdb: logger of the configuration has thrown: mine\n',
    'testdb: onEvent of the configuration has thrown: late\n',
  ])
  expect(heard).toEqual(['warning.raised', 'finding.raised', 'finding.raised', 'connection.recovered'])
  for (const end of ends) end()
})

test('createTestDb takes the functions as they are, and lets go of them', async () => {
  const own = logger()
  const names: string[] = []
  const migrator = functionMigrator({ hash: 'v1', migrate: ({ query }) => query('create table t (n int)') })
  const observers = { logger: own, onEvent: ({ name }: { name: string }) => void names.push(name) }
  for (const round of [1, 2]) {
    const testdb = await createTestDb({ server: { kind: 'pg-mem' }, migrator, ...observers })
    expect(own.lines.filter((line) => line.includes('pg-mem is an emulation'))).toHaveLength(round)
    await testdb.close()
  }
  expect(said).toEqual([])
  const before = names.length
  expect(before).toBeGreaterThan(0)
  sayAll()
  expect([names.length, isLogged()]).toEqual([before, false])
})
