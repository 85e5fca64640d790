import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { globSync } from 'tinyglobby'
import { expect, test } from 'vitest'
import { ERRORS, type ErrorCode, isTestDbError, messageOf, TestDbError } from '../src/errors.ts'

const root = fileURLToPath(new URL('../', import.meta.url))
const codes = Object.keys(ERRORS) as ErrorCode[]

/** The sections of docs/errors.md by heading, in the order of the page. */
const sections = new Map(
  readFileSync(`${root}docs/errors.md`, 'utf8')
    .replaceAll('\r\n', '\n')
    .split(/^## /m)
    .slice(1)
    .map((section) => {
      const end = section.indexOf('\n')
      return [section.slice(0, end).trim(), section.slice(end)] as const
    }),
)

test('every code is documented and every documented code exists, in the order of the table', () => {
  expect([...sections.keys()]).toEqual(codes)
})

test.each(codes)('%s: the documentation says when, what it means and how to fix it', (code) => {
  const section = sections.get(code) ?? ''
  for (const part of ['**When.** ', '**What it means.** ', '**How to fix it.** ', '**Example.**']) {
    expect(section).toContain(`\n\n${part}`)
  }
})

test.each(codes)('%s: the example has the form and the texts of a real message', (code) => {
  const example = /```text\n([\s\S]*?)\n```/.exec(sections.get(code) ?? '')?.[1] ?? ''
  const meaning = example.indexOf(`\n${ERRORS[code].meaning}\n`)
  expect(meaning, 'the example has the meaning of the table').toBeGreaterThan(0)
  const what = example.slice(`${code}: `.length, meaning)
  expect(example).toBe(new TestDbError(code, what).message)
})

const COMMANDS = ['reset', 'status', 'doctor', 'run', 'up', 'down', 'ls', 'url', 'prune', 'init', 'report']
const nextCommand = new RegExp(`\`npx testdb (${COMMANDS.join('|')})\\b`)

test.each(codes)('%s: the last fix names the next command', (code) => {
  expect(ERRORS[code].fixes.at(-1)).toMatch(nextCommand)
})

test('the last fix names the next command also where the source has fixes of its own', () => {
  const lists = globSync('src/**/*.ts', { cwd: root, ignore: 'src/errors.ts' }).flatMap((file) => {
    const text = readFileSync(root + file, 'utf8')
    return [...text.matchAll(/\bfixes: \[([\s\S]*?)\],?\s*\n?\s*}/g)].map((match) => ({ file, list: match[1] ?? '' }))
  })
  const lacking = lists.filter(({ list }) => !nextCommand.test(list.trim().split('\n').at(-1) ?? ''))
  expect(lists.length).toBeGreaterThan(0)
  expect(lacking).toEqual([])
})

test('a message has what happened, what it means and numbered fixes', () => {
  const error = new TestDbError('TESTDB_RUN_ACTIVE', '1 run', { fixes: ['Wait.', 'Run `npx testdb status`.'] })
  expect(error.message).toBe(
    `TESTDB_RUN_ACTIVE: 1 run\n${ERRORS.TESTDB_RUN_ACTIVE.meaning}\n  1. Wait.\n  2. Run \`npx testdb status\`.`,
  )
  expect(error).toMatchObject({ name: 'TestDbError', what: '1 run', details: {} })
  expect('cause' in error).toBe(false)
})

test('the original error is the cause', () => {
  const cause = new Error('boom')
  expect(new TestDbError('TESTDB_SEED_FAILED', 'x', { cause }).cause).toBe(cause)
})

test('errors of testdb are recognised by their code, also from another copy of the package', () => {
  expect(isTestDbError(new TestDbError('TESTDB_SEED_FAILED', 'x'))).toBe(true)
  expect(isTestDbError(Object.assign(new Error('x'), { code: 'TESTDB_SEED_FAILED' }))).toBe(true)
  for (const other of [new Error('x'), { code: 'ENOENT' }, { code: 7 }, null, undefined, 'TESTDB_SEED_FAILED']) {
    expect(isTestDbError(other)).toBe(false)
  }
})

test('isTestDbError is not fooled by names that every object has', () => {
  expect(isTestDbError({ code: 'toString' })).toBe(false)
})

test('the message of anything that was thrown', () => {
  expect([messageOf(new Error('a')), messageOf('b'), messageOf(undefined)]).toEqual(['a', 'b', 'undefined'])
})
