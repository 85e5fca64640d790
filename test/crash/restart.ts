/** Ends the server of a crash test the way machines and administrators do, and starts it again on the same data. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from '../helpers/wait.ts'
import type { Place } from './place.ts'

/** A postmaster that a test has started; it is to be stopped before the server of the test file is. */
export interface Restarted extends AsyncDisposable {
  readonly pid: number
}

/**
 * Stops the postmaster and starts it again with the command line and the environment that it had.
 * `SIGINT`: sessions are ended and everything is written, as by `pg_ctl restart`. `SIGQUIT`: as after a power cut.
 */
export async function restart(place: Place, signal: 'SIGINT' | 'SIGQUIT'): Promise<Restarted> {
  const [row] = await place.rows<{ data: string }>(`select current_setting('data_directory') as data`)
  const data = row?.data ?? ''
  const pid = Number(readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')[0])
  const command = readFileSync(join(data, 'postmaster.opts'), 'utf8')
  const entries = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').filter(Boolean)
  const env = Object.fromEntries(
    entries.map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]),
  )
  process.kill(pid, signal)
  await eventually('the postmaster has ended', () => !existsSync(`/proc/${pid}`) || isZombie(pid))
  const { uid, gid } = statSync(data)
  // The shell ends the server when the pipe does: also when this process is killed.
  const script = `${command.trim()} >>../log 2>&1 & server=$!; cat >/dev/null; kill -QUIT $server; wait $server`
  const watchdog = spawn('sh', ['-c', script], {
    env,
    uid,
    gid,
    cwd: data,
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  await place.reconnect()
  return {
    pid: Number(readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')[0]),
    async [Symbol.asyncDispose]() {
      const ended = once(watchdog, 'exit')
      watchdog.stdin.end()
      await ended
    },
  }
}

/** Kills one backend hard: the server ends all sessions, recovers, and empties unlogged tables. The postmaster stays. */
export async function crash(place: Place): Promise<void> {
  const [row] = await place.rows<{ pid: number }>('select pg_backend_pid() as pid')
  process.kill(row?.pid ?? 0, 'SIGKILL')
  await eventually('the session is gone', () => place.observer.lost.aborted)
  await place.reconnect()
}

function isZombie(pid: number): boolean {
  return readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')
}
