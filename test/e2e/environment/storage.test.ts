/** Where the data can lie: little or no shared memory, a full disk, folders that can not be written. */
import { mkdirSync } from 'node:fs'
import { expect } from 'vitest'
import { expectExit } from '../project.ts'
import { asRoot, expectGreen, newcomer, runApart, VITEST_READ_ONLY } from './lab.ts'

const MOUNT = ['--mount']

asRoot('a /dev/shm of 64 MB, as containers have it: the data is on disk, and it says so', async () => {
  const project = await newcomer('shm-64')

  const outcome = await runApart(
    project,
    MOUNT,
    'mount -t tmpfs -o size=64m tmpfs /dev/shm && vitest run; code=$?; ls -A /dev/shm; exit $code',
  )

  expectGreen(outcome)
  expect(outcome.stderr).toMatch(/data on disk \(.*\/shm-64\/node_modules\/\.cache\/testdb\//)
  expect(outcome.stdout).not.toContain('testdb-0-')
})

/** A /dev with the few devices that every program needs, and no shm. */
const BARE_DEV = `mount -t tmpfs -o mode=755 tmpfs "$PWD/dev"
for name in null zero full random urandom tty; do touch "dev/$name" && mount --bind "/dev/$name" "dev/$name"; done
mount --rbind "$PWD/dev" /dev && test ! -e /dev/shm && exec vitest run`

asRoot('no /dev/shm at all: the data is on disk, and it says so', async () => {
  const project = await newcomer('shm-none')
  mkdirSync(`${project.root}/dev`)

  const outcome = await runApart(project, MOUNT, BARE_DEV)

  expectGreen(outcome)
  expect(outcome.stderr).toContain('data on disk')
})

const CACHE = 'node_modules/.cache'
const small = (size: string): string =>
  `mount -t tmpfs -o size=64m tmpfs /dev/shm && mount -t tmpfs -o size=${size} tmpfs ${CACHE}`

asRoot('a disk that is full before there is a server: one error that names the folder, and nothing on it', async () => {
  const project = await newcomer('full-start')
  mkdirSync(`${project.root}/${CACHE}`, { recursive: true })

  const again = `vitest run; code=$?; find ${CACHE} -type f; mount -o remount,size=500m ${CACHE}; echo AGAIN; vitest run && exit $code`
  const outcome = await runApart(project, MOUNT, `${small('8m')} && ${again}`)

  const [first = '', second = ''] = outcome.output.split('AGAIN')
  expectExit(outcome, 1)
  expect(first).toContain(`TESTDB_CACHE_UNWRITABLE: ${project.root}/${CACHE}/testdb/pg`)
  expect(first).toContain('ENOSPC')
  expect(first).toContain('Free space')
  expect(first.split('\n').filter((line) => line.startsWith(`${CACHE}/`))).toEqual([])
  expect(second).toMatch(/Tests\s+2 passed \(2\)/)
})

/** Runs after testdb's own: the template is there, no worker has cloned it yet. */
const FILL = `import { execFileSync } from 'node:child_process'
import { statfsSync } from 'node:fs'
export default () => {
  if (!process.env.FILL) return
  const { bavail, bsize } = statfsSync('${CACHE}')
  execFileSync('fallocate', ['-l', String(bavail * bsize - 5_000_000), '${CACHE}/filler'])
}
`

asRoot('a disk that fills up under the server: the run fails at once, and the next one with space passes', async () => {
  const project = await newcomer('full-later', {
    'fill.js': FILL,
    'vitest.config.js': `export default { test: { globalSetup: ['testdb/vitest', './fill.js'], setupFiles: ['testdb/vitest/setup'] } }\n`,
  })
  mkdirSync(`${project.root}/${CACHE}`, { recursive: true })

  const script = `${small('300m')} && FILL=1 vitest run; code=$?; rm ${CACHE}/filler; echo AGAIN; vitest run && exit $code`
  const outcome = await runApart(project, MOUNT, script, { timeout: 60_000 })

  const [first = '', second = ''] = outcome.output.split('AGAIN')
  expectExit(outcome, 1)
  // Which of the two depends on whether the copy or the checkpoint before it meets the end of the disk.
  expect(first).toMatch(/No space left on device|checkpoint request failed/)
  expect(first).not.toMatch(/Unhandled|timed out|✓/)
  expect(second).toMatch(/Tests\s+2 passed \(2\)/)
})

asRoot('a project and packages on a read-only file system', async () => {
  const project = await newcomer('read-only')

  const outcome = await runApart(
    project,
    MOUNT,
    `mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && cd "$1/read-only" && ! touch x && ${VITEST_READ_ONLY} && testdb down`,
  )

  expectGreen(outcome)
  expect(outcome.output).toContain('Read-only file system')
})
