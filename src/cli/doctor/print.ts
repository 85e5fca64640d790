/** The doctor's report for people. */
import type { Terminal } from '../terminal.ts'
import type { Check, CheckStatus, DoctorReport } from './check.ts'

const SIGN: Readonly<Record<CheckStatus, string>> = { ok: '✓', warning: '!', error: '✗', skipped: '-' }

/** Other fixes are told in words. */
const COMMAND = /^(npx|npm|psql) /

export function printReport({ checks, configuration }: DoctorReport, terminal: Terminal): void {
  const { out } = terminal
  printChecks(checks, terminal)
  if (configuration.length > 0) {
    out('\nconfiguration')
    const width = Math.max(...configuration.map(({ key }) => key.length))
    for (const { key, value, origin } of configuration) out(`  ${key.padEnd(width)}  ${value} (${origin})`)
  }
  const errors = checks.filter(({ status }) => status === 'error').length
  const warnings = checks.filter(({ status }) => status === 'warning').length
  out(`\n${summary(errors, warnings)}`)
}

/** A line for each check, and one below it for each fix. */
export function printChecks(checks: readonly Check[], { out, colours }: Terminal): void {
  const paint = { ok: colours.green, warning: colours.yellow, error: colours.red, skipped: colours.dim }
  for (const { status, message, fixes } of checks) {
    out(`${paint[status](SIGN[status])} ${message.replaceAll('\n', '\n  ')}`)
    for (const fix of fixes) out(`    ${COMMAND.test(fix) ? 'type this → ' : '→ '}${fix}`)
  }
}

function summary(errors: number, warnings: number): string {
  if (errors > 0) return errors === 1 ? '1 problem would make a run fail.' : `${errors} problems would make a run fail.`
  if (warnings > 0)
    return `Everything works; ${warnings === 1 ? '1 line' : `${warnings} lines`} above may be worth a look.`
  return 'Everything works.'
}
