/** What the machine gives an embedded server, or does not: space, memory, names of folders, rights, a process namespace. */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, statSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, rename, rm, stat, symlink } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { Session } from '../../../src/postgres/index.ts'
import { eventually, isAlive, isRoot, type Lab, openLab, outcomeOf, postmasterOf } from '../../helpers/embedded.ts'
import { copyData, hasTable, makeSound } from '../../helpers/embedded-row.ts'
import { CLUSTER } from '../../helpers/packages.ts'

vi.setConfig({ testTimeout: 120_000 })

let lab: Lab
let sound: string

if (!isRoot) console.warn('NOT TESTED, needs root: full disks, a small /dev/shm, process namespaces')

beforeAll(async () => {
  lab = await openLab()
  sound = await makeSound(lab)
})
afterAll(() => lab.close())

/** A cache folder on a disk with so much room, until the end of the scope. */
async function smallDisk(
  size: string,
): Promise<{ folder: string; options: ReturnType<Lab['options']>; fill(): void } & AsyncDisposable> {
  const folder = await mkdtemp(path.join(lab.root, 'disk '))
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=755`, 'testdb-test', folder])
  const options = lab.options({ cacheDir: path.join(folder, 'cache') })
  return {
    folder,
    options,
    fill: () => execFileSync('sh', ['-c', 'cat /dev/zero > "$0/filler" || true', folder], { stdio: 'ignore' }),
    async [Symbol.asyncDispose]() {
      await lab.module.stopEmbedded(options)
      execFileSync('umount', ['--lazy', folder])
    },
  }
}

async function failureOf(promise: Promise<unknown>): Promise<{ code?: string; message?: string }> {
  return await promise.then(
    () => ({}),
    (error: unknown) => error as Error,
  )
}

describe.runIf(isRoot).concurrent('space (needs root)', () => {
  test('a disk on which no cluster has room is one error that says so, and keeps nothing', async () => {
    await using disk = await smallDisk('8m')
    const { cacheDir } = disk.options
    const { code, message } = await failureOf(lab.module.startEmbedded(disk.options))
    expect(code).toBe('TESTDB_CACHE_UNWRITABLE')
    expect(message).toContain(`${cacheDir}/${CLUSTER} can not be used: ENOSPC`)
    // The log of the supervisor that was to own the server has one line, that there was no job for it.
    const kept = readdirSync(path.join(cacheDir, CLUSTER)).filter((name) => name !== 'supervisor.log')
    expect(kept).toEqual([])
  })

  test.each(['1m', '16k'])('a full disk of %s is one error that says so', async (size) => {
    await using disk = await smallDisk(size)
    disk.fill()
    const { code, message } = await failureOf(lab.module.startEmbedded(disk.options))
    expect([code, message]).toEqual(['TESTDB_CACHE_UNWRITABLE', expect.stringContaining('ENOSPC')])
    // To stop a server nothing has to be written.
    expect(await lab.module.stopEmbedded(disk.options)).toBe(false)
  })

  test('a disk that fills up while the server runs: statements say so, and with room again all is well', async () => {
    await using disk = await smallDisk('150m')
    await copyData(sound, disk.options.cacheDir)
    const server = await lab.module.startEmbedded(disk.options)
    disk.fill()
    await using session = await Session.open(server.admin, { applicationName: 'test' })
    const big = 'create table big as select repeat(md5(g::text), 50) from generate_series(1, 100000) g'
    const { code, message } = await failureOf(session.query(big))
    expect([code, message]).toEqual(['53100', expect.stringContaining('No space left on device')])
    // Attaching writes nothing.
    expect(await postmasterOf(await lab.module.startEmbedded(disk.options))).toBe(await postmasterOf(server))
    await rm(path.join(disk.folder, 'filler'))
    expect(await hasTable(await lab.module.startEmbedded(disk.options))).toBe(true)
  })

  test('a server that was killed on a full disk starts, or is said to lack space; its data stays', async () => {
    await using disk = await smallDisk('150m')
    await copyData(sound, disk.options.cacheDir)
    await lab.module.startEmbedded(disk.options)
    const { pid = 0, supervisorPid = 0 } = await lab.status(disk.options)
    process.kill(supervisorPid, 'SIGKILL')
    process.kill(pid, 'SIGKILL')
    await eventually('both are gone', async () => !(await isAlive(supervisorPid)) && !(await isAlive(pid)))
    disk.fill()
    // Which one depends on whether what the dead ones have left is enough.
    const { code } = await failureOf(lab.module.startEmbedded(disk.options))
    expect([undefined, 'TESTDB_CACHE_UNWRITABLE']).toContain(code)
    await rm(path.join(disk.folder, 'filler'))
    expect(await hasTable(await lab.module.startEmbedded(disk.options))).toBe(true)
  })

  const smallMemory = (size: string): { within: string[]; before: string } => ({
    within: ['unshare', '--mount'],
    before: `mount -t tmpfs -o size=${size} testdb-test /dev/shm`,
  })

  test('a small /dev/shm, as containers have it: the data lies on disk', async () => {
    const options = lab.options({ storage: 'auto' })
    const { message, result } = await lab.start(options, smallMemory('64m'))
    expect([message, result?.summary]).toEqual([undefined, expect.stringContaining('data on disk')])
  })

  test('a small /dev/shm that was asked for by name is one error that says so', async () => {
    const options = lab.options({ storage: 'memory' })
    const { code, message } = await lab.start(options, smallMemory('8m'))
    expect([code, message]).toEqual(['TESTDB_CACHE_UNWRITABLE', expect.stringMatching(/\/dev\/shm.* ENOSPC/)])
  })
})

describe.concurrent('names of folders', () => {
  // What initdb's shell, the library path and postmaster.pid would stumble over, and what they do not mind.
  test.each(['dou"ble', 'co:lon', 'new\nline'])(
    'a cache folder that Postgres can not have everywhere is replaced: %j',
    async (name) => {
      const options = lab.options({ cacheDir: path.join(lab.root, name) })
      const server = await lab.module.startEmbedded(options)
      expect(server.summary).toMatch(/ on disk \(\/tmp\/testdb-\d+-[0-9a-f]{12}\/pg\d+\/cluster\)/)
      expect(await postmasterOf(await lab.module.startEmbedded(options))).toBe(await postmasterOf(server))
      expect(await lab.status(options)).toMatchObject({ running: true })
    },
  )

  test('a cache folder with a quote, a comma, a percent sign and letters of other languages is taken as it is', async () => {
    const options = lab.options({ cacheDir: path.join(lab.root, "it's, 100 % ünï (x) & #!*?") })
    const server = await lab.module.startEmbedded(options)
    expect(server.summary).toContain(options.cacheDir)
    expect(await postmasterOf(server)).not.toBe('')
  })

  test('a project with such a name, without its links: the binaries are copied', async () => {
    const project = await lab.project('odd "$x`:; project', { links: false })
    const options = lab.options({ projectRoot: project })
    expect(await postmasterOf(await lab.module.startEmbedded(options))).not.toBe('')
    expect(await readdir(`${options.cacheDir}/${CLUSTER}`)).toContainEqual(expect.stringMatching(/^native-/))
  })

  test('a temporary directory with such a name is not used', async () => {
    const temporary = path.join(lab.root, 'odd:tmp')
    await mkdir(temporary)
    const { message, result } = await lab.start(lab.options(), { env: { TMPDIR: temporary } })
    expect([message, result?.admin.host]).toEqual([undefined, expect.stringMatching(/^\/tmp\/testdb-/)])
  })

  test('paths of more than 110 characters: the socket folder is a short one', async () => {
    const long = path.join(lab.root, 'd'.repeat(120), 'e'.repeat(120))
    const temporary = path.join(long, 'tmp')
    await mkdir(temporary, { recursive: true })
    const options = lab.options({ cacheDir: path.join(long, 'cache') })
    const { message, result } = await lab.start(options, { env: { TMPDIR: temporary } })
    expect([message, result?.admin.host]).toEqual([undefined, expect.stringMatching(/^\/tmp\/testdb-/)])
    expect(result?.summary).toContain(options.cacheDir)
  })

  test.each([
    ['/proc/testdb/cache', 'no folder can be made in /proc'],
    ['/sys/testdb/cache', 'EPERM'],
    ['/dev/null/cache', 'ENOTDIR'],
    [`/tmp/${'x'.repeat(300)}`, 'ENAMETOOLONG'],
  ])('a place where nothing can be made is one error, at once: %s', async (cacheDir, reason) => {
    const { cacheDir: _, ...options } = lab.options({ cacheDir })
    const child = lab.spawn(options, { env: { TESTDB_CACHE_DIR: cacheDir } })
    const late = setTimeout(() => child.kill('SIGKILL'), 20_000)
    const { code, message } = await outcomeOf(child)
    clearTimeout(late)
    expect([code, message]).toEqual(['TESTDB_CACHE_UNWRITABLE', expect.stringContaining(reason)])
  })

  test('a link that leads nowhere is one error', async () => {
    const cacheDir = path.join(lab.root, 'link')
    await symlink(path.join(lab.root, 'nowhere'), cacheDir)
    const { code } = await failureOf(lab.module.startEmbedded(lab.options({ cacheDir })))
    expect(code).toBe('TESTDB_CACHE_UNWRITABLE')
  })
})

describe.concurrent('rights and variables', () => {
  test.each(['077', '000'])(
    'with umask %s the server starts, and nothing is open that should not be',
    async (umask) => {
      const options = lab.options()
      const { message, result } = await lab.start(options, { before: `umask ${umask}` })
      expect(message).toBeUndefined()
      // As root, a folder that the umask closes for Postgres is replaced.
      const folder = path.join((await lab.status(options)).cacheDir, CLUSTER)
      const mode = (file: string): number => statSync(path.join(folder, file)).mode & 0o777
      expect(mode('.')).toBe(isRoot ? 0o711 : 0o700)
      expect(mode('state.json')).toBe(0o600)
      expect(mode('cluster/cluster.json')).toBe(0o600)
      expect(mode('cluster/data')).toBe(0o700)
      expect((await stat(result?.admin.host ?? '')).mode & 0o777).toBe(0o700)
    },
  )

  test('without HOME and NODE_ENV, and with languages that do not exist', async () => {
    const env = { LANG: 'xx_YY.nonsense', LC_ALL: 'nonsense', LANGUAGE: 'klingon' }
    const { message } = await lab.start(lab.options(), { env })
    expect(message).toBeUndefined()
  })
})

describe.runIf(isRoot)('a container that shares the cache folder (needs root)', () => {
  test('its server is not seen, and none is started beside it; when it is gone, the data is there', async () => {
    const options = lab.options()
    await copyData(sound, options.cacheDir)
    const temporary = path.join(lab.root, 'tmp of the container')
    await mkdir(temporary)
    await chmod(temporary, 0o1777)
    // The actor is not the first process of its namespace, whose end would be the end of all others.
    const container = lab.spawn(options, {
      env: { TMPDIR: temporary },
      within: ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child', 'sh', '-c', '"$@"; sleep 600', 'sh'],
    })
    const [message] = (await once(container, 'message')) as [{ kind: string }]
    expect(message.kind).toBe('starting')
    const [outcome] = (await once(container, 'message')) as [{ kind: string; message?: string }]
    expect(outcome).toMatchObject({ kind: 'ready' })

    // A container's sockets and ports can not be reached from outside.
    const hidden = path.join(lab.root, 'hidden')
    await rename(temporary, hidden)
    const { code, message: text } = await failureOf(lab.module.startEmbedded(options))
    expect(code).toBe('TESTDB_SERVER_START_FAILED')
    expect(text).toContain('runs where this process can not see it')
    expect(text).toContain('TESTDB_CACHE_DIR')

    container.kill('SIGKILL')
    const server = await eventually(
      'the next start',
      () => lab.module.startEmbedded(options).catch(() => undefined),
      30_000,
    )
    expect(await hasTable(server ?? expect.unreachable())).toBe(true)
  })
})
