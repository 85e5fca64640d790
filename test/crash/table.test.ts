/** docs/design/crash-table.md and src/steps.ts say the same, and each row has the test that it names. */
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { STEPS } from '../../src/steps.ts'

const root = resolve(import.meta.dirname, '../..')
const page = readFileSync(join(root, 'docs/design/crash-table.md'), 'utf8')

const cells = (line: string): string[] =>
  line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim())
const unquoted = (cell: string | undefined): string => (cell ?? '').replaceAll('`', '')
const lines = page.split('\n').filter((line) => line.startsWith('| ') && !/^\| (step|situation) \|/.test(line))
const stepRows = lines.filter((line) => line.startsWith('| `')).map(cells)
const situations = lines.filter((line) => !line.startsWith('| `')).map(cells)

const read = (file: string): string => (existsSync(join(root, file)) ? readFileSync(join(root, file), 'utf8') : '')

test('each step has one row, and each row is a step with the state that the code gives it', () => {
  const rows = stepRows.map(([step, state]) => [unquoted(step), state])
  expect(rows.sort()).toEqual(Object.entries(STEPS).sort())
})

test.each(stepRows.map((row) => [unquoted(row[0]), unquoted(row[5])]))('%s: %s has a test for it', (step, file) => {
  expect(read(file), `${file} must be there and stop a process at '${step}'`).toContain(`'${step}'`)
})

describe('other situations', () => {
  test.each(situations.map(([what, , , file, title]) => [what, unquoted(file), title]))('%s', (_what, file, title) => {
    expect(title).not.toBe('')
    expect(read(file ?? ''), `${file} must be there and have the test "${title}"`).toContain(`'${title}'`)
  })
})

test('every row is complete', () => {
  expect(stepRows.filter((row) => row.length !== 6 || row.includes(''))).toEqual([])
  expect(situations.filter((row) => row.length !== 5 || row.includes(''))).toEqual([])
  expect(situations.length).toBeGreaterThan(0)
})
