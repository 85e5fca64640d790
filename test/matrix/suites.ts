/** Runs the repository's own tests with another Node, on other packages, and reads what Vitest counted. */
import { mkdir, readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { execa } from 'execa'
import { SUITES, type Suite, type SuiteName } from './entries.ts'

export interface Machine {
  /** Folder of `node`, for the PATH. */
  readonly nodeBin: string
  /** Folder with the packed package, the runners, Knex and Postgres. */
  readonly home: string
}

export interface Counts {
  readonly passed: number
  readonly failed: number
  /** Full names. */
  readonly skipped: readonly string[]
}

export interface Outcome extends Counts {
  /** What Vitest printed, when something failed. */
  readonly output: string
}

interface Report {
  readonly testResults: readonly {
    readonly status: string
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[]
  }[]
}

const repository = path.resolve(import.meta.dirname, '../..')
const TIMEOUT_MS = 20 * 60_000

/** Suites of the same projects run together, so that their files share the two workers. */
export function together(names: readonly SuiteName[]): Suite[] {
  const groups = new Map<string, Suite>()
  for (const { projects, files } of names.map((name): Suite => SUITES[name])) {
    const known = groups.get(projects.join())
    // No names means all files.
    const all = files.length === 0 || known?.files.length === 0
    groups.set(projects.join(), { projects, files: all ? [] : [...(known?.files ?? []), ...files] })
  }
  return [...groups.values()]
}

/** `entry`: its name, as those of several entries run at the same time. */
export async function runSuite(
  { projects, files }: Suite,
  entry: string,
  { nodeBin, home }: Machine,
): Promise<Outcome> {
  // Not in the home: its path would be in the command line of this process, and what lives there is ended.
  const folder = path.join(path.dirname(home), 'reports')
  await mkdir(folder, { recursive: true })
  const report = path.join(folder, `${entry}-${projects.join('-')}.json`)
  await rm(report, { force: true })
  const result = await execa(
    path.join(nodeBin, 'node'),
    [
      path.join(repository, 'node_modules/vitest/vitest.mjs'),
      'run',
      ...projects.flatMap((name) => ['--project', name]),
      ...files,
      ...['--reporter=default', '--reporter=json', `--outputFile.json=${report}`],
    ],
    {
      cwd: repository,
      env: {
        PATH: `${nodeBin}${path.delimiter}${process.env.PATH}`,
        TESTDB_TEST_PACKAGES: home,
        TESTDB_E2E_HOME: home,
        // They install for minutes, and what they prove has nothing to do with versions.
        TESTDB_TEST_INSTALLS: undefined,
        NO_COLOR: '1',
      },
      all: true,
      reject: false,
      timeout: TIMEOUT_MS,
    },
  )
  const counts = await read(report)
  // Without a report nothing was run; with a good one something beside the tests failed.
  const failed = result.failed ? Math.max(counts.failed, 1) : counts.failed
  return { ...counts, failed, output: failed > 0 ? `${result.all}\n${result.timedOut ? 'it took too long' : ''}` : '' }
}

async function read(file: string): Promise<Counts> {
  let report: Report
  try {
    report = JSON.parse(await readFile(file, 'utf8')) as Report
  } catch {
    return { passed: 0, failed: 1, skipped: [] }
  }
  const tests = report.testResults.flatMap((one) => one.assertionResults)
  const count = (status: string): number => tests.filter((one) => one.status === status).length
  // A file that can not be loaded, or whose hooks fail, has no failed test.
  const broken = report.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.every((one) => one.status !== 'failed'),
  ).length
  const skipped = tests.filter((one) => one.status !== 'passed' && one.status !== 'failed')
  return { passed: count('passed'), failed: count('failed') + broken, skipped: skipped.map((one) => one.fullName) }
}
