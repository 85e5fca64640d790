// Prints the closing line from Vitest's JSON report. A step that failed before the tests counts as one failure.
import { readFileSync } from 'node:fs'

const [file, code] = process.argv.slice(2)
let report = { numPassedTests: 0, numFailedTests: 0 }
try {
  report = JSON.parse(readFileSync(file, 'utf8'))
} catch {
  // No report: the build, the linter or the types stopped the run.
}
const { numPassedTests: passed, numFailedTests: failed } = report
console.log(`${passed} passed, ${failed === 0 && code !== '0' ? 1 : failed} failed`)
