/** docs/cli.md is about the commands and options that there are. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { createProgram } from '../../src/cli/program.ts'
import { createTerminal } from '../../src/cli/terminal.ts'

const program = createProgram(createTerminal(), () => undefined)
const page = readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8')
const sections = new Map(
  page
    .split(/^## /m)
    .slice(1)
    .map((section) => [section.slice(0, section.indexOf('\n')), section] as const),
)
const COMMON = ['--config', '--cwd', '--help']

/** `--wait <seconds>` as the help shows it. */
const flagsOf = (name: string): string[] =>
  program.commands
    .filter((command) => command.name() === name)
    .flatMap((command) => command.options.map(({ flags }) => flags))
    .filter((flags) => !COMMON.some((common) => flags.startsWith(common)))

test('every command has a section, in the order of the help, and every section a command', () => {
  expect([...sections.keys()]).toEqual(program.commands.map((command) => command.name()))
})

test.each([...sections.keys()])('%s: its options, an example and its exit codes', (name) => {
  const section = sections.get(name) ?? ''
  const documented = [...section.matchAll(/^\| `(--[^`]+)` +\|/gm)].map((match) => match[1])
  expect(documented).toEqual(flagsOf(name))
  expect(section).toMatch(new RegExp(`\`\`\`text\n\\$ npx testdb ${name}\\b`))
  expect(section).toMatch(/^Exit codes: /m)
})

test('the options of every command are told once, at the top', () => {
  const [top = ''] = page.split(/^## /m)
  for (const option of [...COMMON, '--version']) expect(top).toContain(`${option}`)
})
