import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { type MigrationStep, publish } from '../../src/events.ts'
import { type ProgressOptions, showProgress } from '../../src/report/progress.ts'

const ESC = '\u001B'

/** A stream that remembers what was written. */
class FakeStream {
  readonly isTTY: boolean
  readonly columns = 120
  readonly rows = 40
  written = ''
  broken = false

  constructor(isTTY: boolean) {
    this.isTTY = isTTY
  }

  write(text: string): boolean {
    if (this.broken) throw new Error('EPIPE')
    this.written += text
    return true
  }

  /** What was written since the last call, as complete lines. */
  take(): string[] {
    const lines = this.written.split('\n').filter((line) => line !== '')
    this.written = ''
    return lines
  }
}

function start(isTTY: boolean, options: Omit<ProgressOptions, 'stream'> = {}) {
  const stream = new FakeStream(isTTY)
  const stop = showProgress({ ...options, stream: stream as unknown as NodeJS.WriteStream })
  onTestFinished(stop)
  return { stream, stop }
}

const migrating = (index: number): MigrationStep => ({ name: `2024_${index}.ts`, index, total: 150 })
const built = { template: 'testdb_tpl_1', migrations: 150, durationMs: 12_340 }

beforeEach(() => {
  vi.useFakeTimers()
  for (const name of ['CI', 'NO_COLOR', 'TERM']) vi.stubEnv(name, '')
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllEnvs()
})

test('short work prints only what matters afterwards', () => {
  const { stream } = start(false)
  publish('server.starting', { summary: 'starting embedded Postgres 18.4' })
  vi.advanceTimersByTime(400)
  publish('server.started', { summary: 'embedded Postgres 18.4', durationMs: 400, attached: false })
  publish('migrator.detected', { name: 'knex', summary: 'knexfile.ts (test)', reason: 'there is a knexfile' })
  publish('leader.elected', { template: 'testdb_tpl_1', waitedMs: 0, takeover: false })
  for (let i = 1; i <= 150; i++) publish('migration.started', migrating(i))
  publish('seed.started', { name: 'seeds' })
  publish('template.built', { ...built, durationMs: 430 })
  publish('database.acquired', { database: 'testdb_db_1', created: true, durationMs: 20 })
  publish('database.pruned', { database: 'testdb_db_0', reason: 'old' })
  expect(stream.written).toBe(
    'testdb: started embedded Postgres 18.4 in 0.4 s\n' +
      'testdb: using knex: knexfile.ts (test), because there is a knexfile\n' +
      'testdb: built template testdb_tpl_1: 150 migrations in 0.4 s\n',
  )
})

test('an existing server and a ready template print nothing', () => {
  const { stream } = start(false)
  publish('server.starting', { summary: 'x' })
  publish('server.started', { summary: 'x', durationMs: 5, attached: true })
  publish('template.reused', { template: 't', waitedMs: 0 })
  vi.advanceTimersByTime(60_000)
  expect(stream.written).toBe('')
})

test('elsewhere than on a terminal: long work says so after a second, then once per interval', () => {
  const { stream } = start(false)
  publish('leader.elected', { template: 't', waitedMs: 0, takeover: false })
  publish('migration.started', migrating(1))
  vi.advanceTimersByTime(900)
  publish('migration.started', migrating(2))
  expect(stream.take()).toEqual([])
  vi.advanceTimersByTime(200)
  expect(stream.take()).toEqual(['testdb: migrating 2/150 2024_2.ts · 1.0 s'])
  publish('migration.started', migrating(37))
  vi.advanceTimersByTime(2_800)
  expect(stream.take()).toEqual([])
  vi.advanceTimersByTime(300)
  expect(stream.take()).toEqual(['testdb: migrating 37/150 2024_37.ts · 4.0 s'])
  vi.advanceTimersByTime(30_000)
  expect(stream.take()).toHaveLength(10)
  publish('template.built', built)
  expect(stream.take()).toEqual(['testdb: built template testdb_tpl_1: 150 migrations in 12.3 s'])
  vi.advanceTimersByTime(30_000)
  expect(stream.take()).toEqual([])
})

test('each long phase starts anew', () => {
  const { stream } = start(false)
  publish('server.starting', { summary: 'starting embedded Postgres' })
  vi.advanceTimersByTime(1_250)
  publish('server.started', { summary: 'embedded Postgres', durationMs: 1_250, attached: false })
  publish('migration.started', migrating(1))
  vi.advanceTimersByTime(1_250)
  expect(stream.take()).toEqual([
    'testdb: starting embedded Postgres · 1.0 s',
    'testdb: started embedded Postgres in 1.3 s',
    'testdb: migrating 1/150 2024_1.ts · 1.0 s',
  ])
})

test('followers tell whom they wait for and where that one is', () => {
  const { stream } = start(false)
  const leader = { pid: 4711, host: 'ci-7' }
  publish('leader.waiting', { template: 't', leader: undefined, step: undefined, elapsedMs: 0 })
  vi.advanceTimersByTime(1_000)
  publish('leader.waiting', { template: 't', leader, step: migrating(12), elapsedMs: 1_000 })
  vi.advanceTimersByTime(3_000)
  publish('template.reused', { template: 't', waitedMs: 4_100 })
  expect(stream.take()).toEqual([
    'testdb: waiting for another process · 1.0 s',
    'testdb: waiting for pid 4711 on ci-7 · migration 12/150 2024_12.ts · 4.0 s',
    'testdb: template t is ready after 4.1 s',
  ])
})

test('time that had passed before the first event counts', () => {
  const { stream } = start(false)
  publish('leader.waiting', { template: 't', leader: undefined, step: undefined, elapsedMs: 65_000 })
  expect(stream.take()).toEqual(['testdb: waiting for another process · 1 min 05 s'])
})

test('a takeover, a healed lock and warnings get a line each, once', () => {
  const { stream } = start(false)
  for (let i = 0; i < 3; i++) {
    publish('warning.raised', { message: 'TESTDB_IDLE is ignored.' })
    publish('lock.healed', { database: 'app', table: 'knex_migrations_lock', found: 'is_locked = 1' })
  }
  publish('warning.raised', { message: 'another' })
  publish('leader.elected', { template: 't', waitedMs: 5, takeover: true })
  expect(stream.take()).toEqual([
    'testdb: warning: TESTDB_IDLE is ignored.',
    'testdb: healed the stuck lock knex_migrations_lock in app (is_locked = 1)',
    'testdb: warning: another',
    'testdb: taking over t: the process that was building it has gone',
  ])
})

test('a lock that is waited for: progress, and one line for each severity', () => {
  const { stream } = start(false)
  const waiting = (elapsedMs: number, severity: 'info' | 'warning' | 'critical') =>
    publish('lock.waiting', { table: 'lock', holders: [`pid 7 idle ${elapsedMs} ms`], elapsedMs, severity })
  waiting(0, 'info')
  vi.advanceTimersByTime(1_000)
  for (const ms of [30_000, 31_000]) waiting(ms, 'warning')
  for (const ms of [60_000, 61_000]) waiting(ms, 'critical')
  expect(stream.take()).toEqual([
    'testdb: waiting for the lock of lock, held by pid 7 idle 0 ms · 1.0 s',
    'testdb: the lock of lock is not released, held by pid 7 idle 30000 ms',
    'testdb: the lock of lock is not released, held by pid 7 idle 60000 ms',
  ])
})

test('a failed build ends the progress without a line: the error tells', () => {
  const { stream } = start(false)
  publish('migration.started', migrating(1))
  publish('template.failed', { template: 't', message: 'boom' })
  vi.advanceTimersByTime(60_000)
  expect(stream.written).toBe('')
})

test('no control characters elsewhere than on a terminal, whatever the names are', () => {
  const { stream } = start(false)
  publish('warning.raised', { message: `${ESC}[31mred${ESC}[0m\nsecond\r\u0007\u009B2Kline` })
  publish('leader.waiting', {
    template: 't',
    leader: { pid: 1, host: `h\u0000${ESC}[2J` },
    step: undefined,
    elapsedMs: 5_000,
  })
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what this test looks for.
  expect(stream.written).not.toMatch(/[\u0000-\u0009\u000B-\u001F\u007F-\u009F]/)
  expect(stream.take()[0]).toBe('testdb: warning: red second line')
})

test('on a terminal: a live line that goes away, colours, and lines above it', () => {
  const { stream, stop } = start(true)
  publish('migration.started', migrating(37))
  vi.advanceTimersByTime(100)
  expect(stream.written).toBe('')
  vi.advanceTimersByTime(3_100)
  expect(stream.written).toContain('migrating 37/150 2024_37.ts')
  expect(stream.written).toContain('· 3.2 s')
  expect(stream.written).toContain(`${ESC}[36m`)
  stream.take()
  publish('warning.raised', { message: 'careful' })
  const [above, line] = stream.take()
  expect(above).toContain(`${ESC}[2K`)
  expect(above).toContain('careful')
  expect(line).toContain('migrating 37/150')
  stop()
  expect(stream.written).toContain(`${ESC}[2K`)
  stream.take()
  vi.advanceTimersByTime(10_000)
  publish('warning.raised', { message: 'too late' })
  expect(stream.written).toBe('')
})

test('NO_COLOR: a live line without colours', () => {
  vi.stubEnv('NO_COLOR', '1')
  const { stream } = start(true)
  publish('migration.started', migrating(1))
  vi.advanceTimersByTime(500)
  publish('warning.raised', { message: 'careful' })
  expect(stream.written).toContain('migrating')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours begin with one.
  expect(stream.written).not.toMatch(/\u001B\[[0-9;]*m/)
})

test.each([
  ['CI', '1'],
  ['TERM', 'dumb'],
])('%s=%s: plain lines also on a terminal', (name, value) => {
  vi.stubEnv(name, value)
  const { stream } = start(true)
  publish('migration.started', migrating(1))
  vi.advanceTimersByTime(1_000)
  expect(stream.written).toBe('testdb: migrating 1/150 2024_1.ts · 1.0 s\n')
})

test('the default is stderr, and stdout is never written to', () => {
  const stdout = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
  const stderr = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  for (const interactive of [false, true]) {
    const stop = showProgress({ interactive })
    publish('migration.started', migrating(1))
    vi.advanceTimersByTime(5_000)
    publish('warning.raised', { message: 'x' })
    stop()
  }
  const written = [stdout.mock.calls.length, stderr.mock.calls.length > 0]
  vi.restoreAllMocks()
  expect(written).toEqual([0, true])
})

test('a broken stream fails nothing', () => {
  const thrown: unknown[] = []
  const onError = (error: unknown): void => void thrown.push(error)
  process.on('uncaughtException', onError)
  for (const isTTY of [true, false]) {
    const { stream, stop } = start(isTTY)
    publish('migration.started', migrating(1))
    vi.advanceTimersByTime(2_000)
    stream.broken = true
    publish('warning.raised', { message: 'x' })
    vi.advanceTimersByTime(5_000)
    expect(stop).not.toThrow()
  }
  vi.useRealTimers()
  return new Promise((resolve) => setImmediate(resolve)).then(() => {
    process.off('uncaughtException', onError)
    expect(thrown).toEqual([])
  })
})

test('timers do not keep a process alive, and none is left', () => {
  const unref = vi.fn()
  const interval = vi.spyOn(globalThis, 'setInterval').mockReturnValue({ unref } as unknown as NodeJS.Timeout)
  const { stop } = start(false)
  publish('migration.started', migrating(1))
  expect(interval).toHaveBeenCalledOnce()
  expect(unref).toHaveBeenCalledOnce()
  stop()
  interval.mockRestore()
  const second = start(false)
  publish('migration.started', migrating(1))
  expect(vi.getTimerCount()).toBe(1)
  second.stop()
  expect(vi.getTimerCount()).toBe(0)
})
