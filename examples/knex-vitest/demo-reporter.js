// Vitest's usual output, and at its end a table of what each worker got.
import { DefaultReporter } from 'vitest/node'

export default class DemoReporter extends DefaultReporter {
  onTestRunEnd(testModules, unhandledErrors, reason) {
    super.onTestRunEnd(testModules, unhandledErrors, reason)
    const { rows, totals } = summarize(testModules)
    console.log(`\n${formatTable([['worker', 'database', 'files', 'tests'], ...rows])}`)
    console.log(`\n${totals}\n`)
  }
}

function summarize(testModules) {
  const shares = new Map()
  const files = new Set()
  let tests = 0

  for (const module of testModules) {
    for (const test of module.children.allTests()) {
      const { worker, database } = test.meta()
      if (!database) continue // skipped, or failed before its first hook
      const key = `${worker} ${database}`
      const share = shares.get(key) ?? { worker, database, files: new Set(), tests: 0 }
      share.files.add(module.moduleId)
      share.tests += 1
      shares.set(key, share)
      files.add(module.moduleId)
      tests += 1
    }
  }

  const sorted = [...shares.values()].sort(
    (a, b) => Number(a.worker) - Number(b.worker) || a.database.localeCompare(b.database),
  )
  const rows = sorted.map((share) => [share.worker, share.database, share.files.size, share.tests])
  const workers = new Set(sorted.map((share) => share.worker)).size
  const databases = new Set(sorted.map((share) => share.database)).size
  const totals = [
    count(workers, 'worker'),
    count(databases, 'database'),
    count(files.size, 'test file'),
    count(tests, 'test'),
  ].join(', ')
  return { rows, totals }
}

function count(number, noun) {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

function formatTable(lines) {
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => String(line[column]).length)))
  const [header, ...body] = lines.map((line) =>
    line
      .map((cell, column) =>
        typeof cell === 'number' ? String(cell).padStart(widths[column]) : String(cell).padEnd(widths[column]),
      )
      .join('  '),
  )
  return [header, widths.map((width) => '-'.repeat(width)).join('  '), ...body].map((line) => `  ${line}`).join('\n')
}
