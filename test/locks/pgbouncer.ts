/** A real PgBouncer in front of the test server; undefined where it is not installed. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ConnectionTarget, Session } from '../../src/postgres/index.ts'
import { eventually } from '../helpers/wait.ts'

export interface Bouncer extends AsyncDisposable {
  readonly target: ConnectionTarget
}

export interface BouncerOptions {
  /** Who may connect besides the target's user. */
  readonly users?: readonly string[]
  /** Connections at most for each user and database. @default 5 */
  readonly poolSize?: number
}

export const PGBOUNCER = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer'].find((file) => {
  try {
    execFileSync(file, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})

export async function startBouncer(
  server: ConnectionTarget,
  mode: 'session' | 'transaction',
  options: BouncerOptions = {},
): Promise<Bouncer> {
  const home = mkdtempSync(join(tmpdir(), 'testdb-bouncer-'))
  chmodSync(home, 0o755)
  const port = await freePort()
  const users = join(home, 'users.txt')
  writeFileSync(users, [server.user, ...(options.users ?? [])].map((user) => `"${user}" ""\n`).join(''))
  const settings = {
    listen_addr: '127.0.0.1',
    listen_port: port,
    auth_type: 'trust',
    auth_file: users,
    pool_mode: mode,
    unix_socket_dir: '',
    // More than one, so that transactions are really spread.
    default_pool_size: options.poolSize ?? 5,
    server_round_robin: 1,
  }
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`)
  const config = join(home, 'pgbouncer.ini')
  writeFileSync(config, `[databases]\n* = host=${server.host} port=${server.port}\n[pgbouncer]\n${lines.join('\n')}\n`)
  // It refuses to be root.
  const nobody = process.getuid?.() === 0 ? { uid: idOf('-u'), gid: idOf('-g') } : {}
  const child = spawn(PGBOUNCER as string, [config], { ...nobody, cwd: home, stdio: ['ignore', 'pipe', 'pipe'] })
  let log = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      log += String(chunk)
    })
  }
  const target = { ...server, host: '127.0.0.1', port }
  try {
    await eventually(`PgBouncer answers: ${log}`, () => answers(child, target))
  } catch (error) {
    child.kill('SIGKILL')
    throw new Error(`PgBouncer did not start:\n${log}\n${readFileSync(config, 'utf8')}`, { cause: error })
  }
  return {
    target,
    async [Symbol.asyncDispose]() {
      const exit = once(child, 'exit')
      child.kill('SIGKILL')
      await exit
      rmSync(home, { recursive: true, force: true })
    },
  }
}

async function answers(child: ChildProcess, target: ConnectionTarget): Promise<boolean> {
  if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`)
  try {
    const session = await Session.open(target, { applicationName: 'test' })
    await session.close()
    return true
  } catch {
    return false
  }
}

const idOf = (which: '-u' | '-g'): number => Number(execFileSync('id', [which, 'nobody'], { encoding: 'utf8' }))

async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { readonly port: number }
  server.close()
  return port
}
