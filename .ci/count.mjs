// Prints the time of each part and the closing line. Arguments: the folder with the reports, then `part=code,seconds`.
// A part that failed without a failed test in its report (the build, a linter, an installation) counts as one failure.
import { readFileSync } from 'node:fs'
import { join, relative } from 'node:path'

const REPORTS = { tests: 'test.json', matrix: 'matrix.json', containers: 'containers.json' }
const [folder, ...parts] = process.argv.slice(2)

const failures = []
let passed = 0
let failed = 0
console.log('')
for (const part of parts) {
  const [, name, code, seconds] = /^(\w+)=(\d+),(\d+)$/.exec(part)
  const report = read(name)
  failures.push(...failuresOf(report))
  const broken = code !== '0' && report.numFailedTests === 0 ? 1 : 0
  passed += report.numPassedTests
  failed += report.numFailedTests + broken
  const minutes = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
  const counts = `${report.numPassedTests} passed, ${report.numFailedTests + broken} failed`
  console.log(
    `${name.padEnd(10)} ${minutes.padStart(6)} min   ${name in REPORTS ? counts : code === '0' ? 'done' : 'FAILED'}`,
  )
}
// Again at the end: of a long output only that may be kept.
for (const { file, test, message } of failures)
  console.log(`FAILED ${file} > ${test}\n  ${message.split('\n', 4).join('\n  ')}`)
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed > 0 ? 1 : 0

function read(name) {
  try {
    return JSON.parse(readFileSync(join(folder, REPORTS[name]), 'utf8'))
  } catch {
    // No report: what came before the tests stopped the part. The demo's tests are not ours to count.
    return { numPassedTests: 0, numFailedTests: 0 }
  }
}

function failuresOf({ testResults = [] }) {
  return testResults.flatMap(({ name, status, message, assertionResults }) => {
    const file = relative(process.cwd(), name)
    const failed = assertionResults.filter((one) => one.status === 'failed')
    if (failed.length === 0 && status === 'failed') return [{ file, test: 'the file', message: message ?? '' }]
    return failed.map(({ fullName, failureMessages }) => ({ file, test: fullName, message: failureMessages[0] ?? '' }))
  })
}
