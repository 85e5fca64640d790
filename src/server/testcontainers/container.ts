/**
 * The one container of a workspace and image. Its name is what the engine gives to one at a time, so that no race can make two.
 *
 * It belongs to our supervisor: it is made without testcontainers' session label, so Ryuk, which removes what a test process
 * leaves behind, does not know it, and is not started for it.
 */
import { randomBytes } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { messageOf } from '../../errors.ts'
import { thisPlace } from '../embedded/machine.ts'
import { initdbArguments, testSettings } from '../owned/settings.ts'
import { note } from '../owned/supervisor-log.ts'
import type { Docker, Engine } from './engine.ts'
import type { ContainerFiles } from './files.ts'
import type { ContainerState } from './state.ts'

export type Container = ReturnType<Docker['getContainer']>
export type Info = Awaited<ReturnType<Container['inspect']>>

const PORT = '5432/tcp'
/** Memory of its own. Not below /var/lib/postgresql: images have a volume there, on disk, and those of 18 refuse another mount. */
const MEMORY = '/var/lib/testdb'
/** A removal takes the engine a moment; a stuck one is an error of its own. */
const GONE_TIMEOUT_MS = 30_000

export const LABEL = { folder: 'testdb.folder', boot: 'testdb.boot', pids: 'testdb.pids' } as const

export async function inspect({ docker }: Engine, name: string): Promise<Info | undefined> {
  try {
    return await docker.getContainer(name).inspect()
  } catch (error) {
    if (statusOf(error) === 404) return undefined
    throw error
  }
}

/** Makes and starts it; undefined when another process has been faster. */
export async function create(engine: Engine, files: ContainerFiles, maxConnections: number): Promise<Info | undefined> {
  const { docker, local } = engine
  const { name, image, folder } = files
  const major = await majorOf(docker, image)
  const settings = testSettings({ major, clusterName: name, maxConnections, platform: 'linux' })
  const place = await thisPlace()
  const environment = {
    POSTGRES_USER: 'postgres',
    POSTGRES_DB: 'postgres',
    // The engine shows it to whoever may use the engine, who could enter the container as well.
    POSTGRES_PASSWORD: randomBytes(24).toString('base64url'),
    POSTGRES_INITDB_ARGS: initdbArguments(major, 'C.UTF-8').join(' '),
    PGDATA: `${MEMORY}/data`,
  }
  try {
    const container = await docker.createContainer({
      name,
      Image: image,
      Env: Object.entries(environment).map(([key, value]) => `${key}=${value}`),
      Cmd: ['postgres', ...Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`])],
      Labels: { [LABEL.folder]: folder, [LABEL.boot]: place.boot, [LABEL.pids]: place.pids },
      ExposedPorts: { [PORT]: {} },
      HostConfig: {
        AutoRemove: true,
        PortBindings: { [PORT]: [{ HostIp: local ? '127.0.0.1' : '0.0.0.0', HostPort: '' }] },
        Tmpfs: { [MEMORY]: 'rw' },
      },
    })
    try {
      await follow(docker, container, files.serverLog)
      await container.start()
      return await container.inspect()
    } catch (error) {
      await remove(engine, container.id)
      throw error
    }
  } catch (error) {
    // Its name is taken, or somebody has removed it before it ran, because it looked abandoned.
    if (statusOf(error) === 409 || statusOf(error) === 404) return undefined
    throw error
  }
}

/** Ends it at once: there is nothing in it to be kept. Resolves when its name is free. */
export async function remove(engine: Engine, id: string): Promise<void> {
  try {
    await engine.docker.getContainer(id).remove({ force: true, v: true })
  } catch (error) {
    // Gone, or on its way.
    if (statusOf(error) !== 404 && statusOf(error) !== 409) throw error
  }
  await untilGone(engine, id)
}

export async function untilGone(engine: Engine, id: string): Promise<void> {
  const begun = performance.now()
  while ((await inspect(engine, id)) !== undefined) {
    if (performance.now() - begun > GONE_TIMEOUT_MS) throw new Error(`the engine does not remove container ${id}`)
    await delay(50)
  }
}

/** Undefined while its port is not mapped. */
export function stateOf({ host }: Engine, name: string, info: Info): ContainerState | undefined {
  const port = Number(info.NetworkSettings.Ports[PORT]?.[0]?.HostPort)
  const password = info.Config.Env.find((line) => line.startsWith('POSTGRES_PASSWORD='))?.split('=')[1]
  if (!port || password === undefined) return undefined
  return { format: 1, container: info.Id, name, host, port, password }
}

/** What Postgres says, from its first line; the engine forgets it with the container. Ends with this process, or with the container. */
async function follow(docker: Docker, container: Container, file: string): Promise<void> {
  const log = createWriteStream(file, { mode: 0o600 })
  const stream = await container.attach({ stream: true, stdout: true, stderr: true })
  // A full disk or a lost engine costs the log and nothing else.
  const lost = (error: unknown): void => note(messageOf(error))
  log.on('error', lost)
  stream.on('error', lost)
  docker.modem.demuxStream(stream, log, log)
}

/** By the variable that the official images set, and those made from them; 0 when there is none. */
async function majorOf(docker: Docker, image: string): Promise<number> {
  const { Config } = await docker.getImage(image).inspect()
  const line = (Config.Env as string[] | null)?.find((one) => one.startsWith('PG_MAJOR='))
  return Number.parseInt(line?.split('=')[1] ?? '', 10) || 0
}

function statusOf(error: unknown): number | undefined {
  return typeof error === 'object' && error !== null && 'statusCode' in error ? Number(error.statusCode) : undefined
}
