// Starts the processes of one side and collects what each of them says. All clocks are this machine's.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

export const now = () => performance.timeOrigin + performance.now()

/** `said` resolves with the time at which the process reports that event; `ended` when it is gone. */
export function start(actor, { root, env }) {
  const child = spawn(process.execPath, [fileURLToPath(new URL(`./actors/${actor}.mjs`, import.meta.url))], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  const times = {}
  let stderr = ''
  let result
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  child.on('message', (message) => {
    if (message.result) result = message.result
    else if (!(message.event in times)) {
      times[message.event] = message.at
      child.emit(`said:${message.event}`, message.at)
    }
  })
  const ended = once(child, 'exit').then(([code]) => ({
    pid: child.pid,
    times,
    // A process that says nothing has failed too.
    result: result ?? { ok: false, error: `exit code ${code}: ${stderr.slice(-500)}` },
  }))
  return {
    child,
    times,
    ended,
    /** Undefined when the process ends without saying it. */
    said: (event) =>
      event in times
        ? Promise.resolve(times[event])
        : Promise.race([once(child, `said:${event}`).then(([at]) => at), ended.then(() => undefined)]),
  }
}

/** Lets all of them begin when the last one is loaded; returns when that was. */
export async function letGo(processes) {
  await Promise.all(processes.map((one) => one.said('loaded')))
  const begunAt = now()
  for (const { child } of processes) if (child.connected) child.send('go')
  return begunAt
}

/** Starts that many at once; the wall time ends with the last one that has its answer, or has given up. */
export async function storm(actor, count, options) {
  const started = Array.from({ length: count }, () => start(actor, options))
  const begunAt = await letGo(started)
  const processes = await Promise.all(started.map(({ ended }) => ended))
  const passed = processes.filter(({ result }) => result.ok)
  const endAt = Math.max(...processes.map(({ times }) => times.done ?? begunAt))
  const errors = new Map()
  for (const { result } of processes) {
    if (!result.ok) errors.set(result.error, (errors.get(result.error) ?? 0) + 1)
  }
  return {
    begunAt,
    processes,
    passed: passed.length,
    failed: count - passed.length,
    wallMs: endAt - begunAt,
    errors: Object.fromEntries(errors),
  }
}

/** Nearest rank, of numbers in any order. */
export function percentile(values, percent) {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)]
}
