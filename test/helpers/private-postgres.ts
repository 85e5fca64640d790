/**
 * A private Postgres for tests, made in about a second and gone with the process that asked for it, however that ends: the
 * server is the child of a shell that waits for the end of a pipe. When the pipe's other end, this process, is gone, the
 * shell stops the server and removes the folder.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type ConnectionTarget, Session } from '../../src/postgres/index.ts'
import { type Account, chooseAccount } from '../../src/server/embedded/account.ts'
import { libraryEnvironment, makeRunnable, type Runnable } from '../../src/server/embedded/libraries.ts'
import { layoutOf } from '../../src/server/embedded/locations.ts'
import { binaries } from './packages.ts'

export interface PrivatePostgres {
  readonly admin: ConnectionTarget
  /** Its folder: logs as `log`, the Unix socket, with `tls` the certificate as `server.crt`. */
  readonly home: string
  /** Ends all sessions, stops the server and starts it again, with the same data on the same port. */
  restart(): Promise<void>
  /** Stops the server and removes its folder. */
  stop(): Promise<void>
}

export interface PrivatePostgresOptions {
  /** The superuser's password; without one everybody may connect from this machine. */
  readonly password?: string
  /** @default 300 */
  readonly maxConnections?: number
  /** Further settings, or others. */
  readonly settings?: Readonly<Record<string, string>>
  /** Lines for pg_hba.conf before those of initdb. */
  readonly hba?: readonly string[]
  /** True: it takes TLS too, with a certificate of its own for localhost. */
  readonly tls?: boolean
  /** Binaries other than those of the packages. */
  readonly installation?: Installation
}

/** A Postgres that is installed on this machine. */
export interface Installation {
  readonly major: number
  /** Folder of `postgres` and `initdb`. */
  readonly bin: string
}

const SETTINGS = {
  listen_addresses: '127.0.0.1',
  max_connections: '300',
  fsync: 'off',
  full_page_writes: 'off',
  synchronous_commit: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
  autovacuum: 'off',
  // What a start has to write to, and these tests do not need.
  shared_buffers: '32MB',
  max_pred_locks_per_transaction: '10',
  // As the embedded server has it: a statement ends soon after its client.
  client_connection_check_interval: '500ms',
  // Nothing may stay in /dev/shm.
  dynamic_shared_memory_type: 'mmap',
}

const CLUSTERS = resolve(import.meta.dirname, '../../node_modules/.cache/testdb-tests/clusters')

/** Starts the server, restarts it at each line of its stdin, and when that ends stops it and removes the folder. */
const WATCHDOG = `
  start() {
    "$POSTGRES" "$@" >>log 2>&1 &
    server=$!
  }
  start "$@"
  while read -r line; do
    kill -INT $server
    wait $server
    start "$@"
  done
  kill -QUIT $server
  wait $server
  rm -rf "$FOLDER"
`

/** A cluster that nobody has used, one for each version and user: to copy it takes a tenth of the time that `initdb` takes. */
function copyCluster(data: string, initialize: (folder: string) => void): void {
  const sound = join(CLUSTERS, `${binaries.version}-${userInfo().uid}`)
  if (!existsSync(sound)) {
    initialize(data)
    const copy = `${sound}.${process.pid}`
    mkdirSync(CLUSTERS, { recursive: true })
    execFileSync('cp', ['-a', data, copy])
    try {
      renameSync(copy, sound)
    } catch {
      // Somebody else was faster.
      rmSync(copy, { recursive: true, force: true })
    }
    return
  }
  execFileSync('cp', ['-a', `${sound}/.`, data])
}

export async function startPrivatePostgres(options: PrivatePostgresOptions = {}): Promise<PrivatePostgres> {
  const account = chooseAccount()
  const who = account && { uid: account.uid, gid: account.gid }
  const home = mkdtempSync(join(memoryFolder(), 'testdb-server-'))
  const data = join(home, 'data')
  mkdirSync(data, { mode: 0o700 })
  const secret = join(home, 'secret')
  writeFileSync(secret, options.password ?? '', { mode: 0o600 })
  if (who) for (const path of [home, data, secret]) chownSync(path, who.uid, who.gid)
  const own = options.installation ? undefined : await runnable(home, account)
  const bin = options.installation?.bin ?? own?.bin ?? ''
  const libraries = own ? libraryEnvironment(own.libraryPath) : {}
  const env = { PATH: process.env.PATH, LC_ALL: 'C', FOLDER: home, POSTGRES: join(bin, 'postgres'), ...libraries }
  const auth = options.password === undefined ? ['-A', 'trust'] : ['-A', 'scram-sha-256', `--pwfile=${secret}`]
  const init = ['-U', 'postgres', ...auth, '--no-sync', '--no-instructions', '--locale=C', '--encoding=UTF8']
  const initialize = (folder: string): void => {
    const args = ['-D', folder, ...init]
    execFileSync(join(bin, 'initdb'), args, { ...who, env, cwd: home, stdio: ['ignore', 'ignore', 'inherit'] })
  }
  if (own && options.password === undefined) copyCluster(data, initialize)
  else initialize(data)
  const hba = join(data, 'pg_hba.conf')
  if (options.hba) writeFileSync(hba, `${options.hba.join('\n')}\n${readFileSync(hba, 'utf8')}`)
  const port = await freePort()
  const settings = {
    ...{ ...SETTINGS, port: String(port), unix_socket_directories: home },
    ...(options.maxConnections !== undefined && { max_connections: String(options.maxConnections) }),
    ...(options.tls && makeCertificate(home, who)),
    ...options.settings,
  }
  const args = ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])]
  const watchdog = spawn('sh', ['-c', WATCHDOG, 'testdb-watchdog', ...args], {
    ...{ ...who, env, cwd: home, detached: true },
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  const stop = async (): Promise<void> => {
    if (watchdog.exitCode === null) {
      const ended = once(watchdog, 'exit')
      watchdog.stdin.end()
      await ended
    }
    rmSync(home, { recursive: true, force: true })
  }
  const target = { host: '127.0.0.1', port, user: 'postgres', password: options.password }
  const admin: ConnectionTarget = { ...target, database: 'postgres' }
  try {
    await untilReady(admin, watchdog, options.installation?.major ?? binaries.major)
  } catch (error) {
    const log = readFileSync(join(home, 'log'), 'utf8')
    await stop()
    throw new Error(`the private Postgres did not start:\n${log}`, { cause: error })
  }
  // A test process that has nothing else to do may end.
  watchdog.unref()
  ;(watchdog.stdin as typeof watchdog.stdin & { unref?(): void }).unref?.()
  const restart = async (): Promise<void> => {
    const before = await startTime(admin)
    watchdog.stdin.write('restart\n')
    const deadline = Date.now() + 30_000
    while ((await startTime(admin).catch(() => before)) === before) {
      if (Date.now() > deadline) throw new Error('the private Postgres did not restart')
      await delay(20)
    }
  }
  return { admin, home, restart, stop }
}

async function startTime(admin: ConnectionTarget): Promise<unknown> {
  await using session = await Session.open(admin, { applicationName: 'test' })
  return (await session.query('select pg_postmaster_start_time()::text as at')).rows[0]?.at
}

/** A certificate that nobody has signed but itself; the server insists on a key that is its own and nobody else's. */
function makeCertificate(home: string, who: { uid: number; gid: number } | undefined): Record<string, string> {
  const [key, certificate] = [join(home, 'server.key'), join(home, 'server.crt')]
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
  const made = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', key, '-out', certificate]
  execFileSync('openssl', [...made, ...subject], { stdio: 'ignore' })
  chmodSync(key, 0o600)
  if (who) for (const path of [key, certificate]) chownSync(path, who.uid, who.gid)
  return { ssl: 'on', ssl_key_file: key, ssl_cert_file: certificate }
}

/** Packages are installed without their scripts in some places: then the links to libraries are made in the folder. */
async function runnable(home: string, account: Account | undefined): Promise<Runnable> {
  const layout = layoutOf(home, binaries.major)
  mkdirSync(layout.folder, { mode: 0o755 })
  return await makeRunnable(binaries, account, layout)
}

/** Clones in memory cost a tenth of clones on a busy disk. */
function memoryFolder(): string {
  try {
    const { bavail, bsize } = statfsSync('/dev/shm')
    return bavail * bsize > 2 ** 31 ? '/dev/shm' : tmpdir()
  } catch {
    return tmpdir()
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}

async function untilReady(admin: ConnectionTarget, child: ChildProcess, major: number): Promise<void> {
  const deadline = Date.now() + 30_000
  for (;;) {
    try {
      await using session = await Session.open(admin, { applicationName: 'test' })
      const { rows } = await session.query<{ major: number }>(
        `select current_setting('server_version_num')::int / 10000 as major`,
      )
      if (rows[0]?.major !== major) throw new Error(`it is Postgres ${rows[0]?.major}, not ${major}`)
      return
    } catch (error) {
      if (child.exitCode !== null || Date.now() > deadline) throw error
      await delay(20)
    }
  }
}
