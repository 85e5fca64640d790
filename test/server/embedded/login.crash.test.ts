/** A server of ours that runs and does not let us in: changed by hand, or full. */
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { subscribe } from '../../../src/events.ts'
import { type ConnectionTarget, Session } from '../../../src/postgres/index.ts'
import { eventually, isAlive, type Lab, openLab, postmasterOf, withAdmin } from '../../helpers/embedded.ts'
import { copyData, hasTable, makeSound } from '../../helpers/embedded-row.ts'
import { CLUSTER } from '../../helpers/packages.ts'

vi.setConfig({ testTimeout: 120_000 })

let lab: Lab
let sound: string

beforeAll(async () => {
  lab = await openLab()
  sound = await makeSound(lab)
})
afterAll(() => lab.close())

async function place(): Promise<ReturnType<Lab['options']>> {
  const options = lab.options()
  await copyData(sound, options.cacheDir)
  return options
}

type Options = Awaited<ReturnType<typeof place>>

const CHANGES: { what: string; reason: RegExp; change(admin: ConnectionTarget, options: Options): Promise<void> }[] = [
  {
    what: 'its password was changed',
    reason: /password authentication failed/,
    change: (admin) => run(admin, "alter role postgres password 'by hand'"),
  },
  {
    what: 'its pg_hba.conf refuses us',
    reason: /pg_hba\.conf rejects connection/,
    async change(admin, options) {
      const file = path.join(options.cacheDir, CLUSTER, 'cluster/data/pg_hba.conf')
      await writeFile(file, `local all all reject\nhost all all all reject\n`)
      await run(admin, 'select pg_reload_conf()')
    },
  },
  {
    what: 'its maintenance database was dropped',
    reason: /database "postgres" does not exist/,
    change: (admin) => run({ ...admin, database: 'template1' }, 'drop database postgres with (force)'),
  },
]

async function run(target: ConnectionTarget, sql: string): Promise<void> {
  await using session = await Session.open(target, { applicationName: 'test' })
  await session.query(sql)
}

async function warningsOf<T>(cacheDir: string, body: () => Promise<T>): Promise<{ result: T; warnings: string[] }> {
  const warnings: string[] = []
  const off = subscribe('warning.raised', ({ message }) => warnings.push(message))
  try {
    const result = await body()
    return { result, warnings: warnings.filter((text) => text.includes(cacheDir)) }
  } finally {
    off()
  }
}

describe.concurrent('a server that refuses our own login', () => {
  test.each(CHANGES)('is ended once, and its data replaced: $what', async ({ reason, change }) => {
    const options = await place()
    const first = await lab.module.startEmbedded(options)
    const { pid = 0 } = await lab.status(options)
    await change(first.admin, options)
    await eventually('it refuses', async () => {
      return await run(first.admin, 'select').then(
        () => false,
        (error: unknown) => reason.test(String(error)),
      )
    })

    const start = (): Promise<unknown> => lab.module.startEmbedded(options)
    const { result, warnings } = await warningsOf(options.cacheDir, start)
    expect(warnings).toEqual([expect.stringMatching(reason)])
    expect(warnings[0]).toContain('it is ended and its data is replaced')
    expect(await isAlive(pid)).toBe(false)
    expect(await hasTable(result as typeof first)).toBe(false)
    expect((await lab.status(options)).supervisorPid).toBeGreaterThan(0)
  })

  test('is replaced, too, when it was stopped meanwhile', async () => {
    const options = await place()
    await withAdmin(await lab.module.startEmbedded(options), (session) =>
      session.query("alter role postgres password 'by hand'"),
    )
    await lab.module.stopEmbedded(options)
    const { result, warnings } = await warningsOf(options.cacheDir, () => lab.module.startEmbedded(options))
    expect(warnings).toEqual([
      expect.stringMatching(/does not start and is replaced: .*password authentication failed/),
    ])
    expect(await hasTable(result)).toBe(false)
  })

  test('for a reason that is not known is started again once, then that is the error', async () => {
    const options = await place()
    const first = await lab.module.startEmbedded(options)
    // What attaching looks at is hidden by something that does not work.
    await run(first.admin, 'create schema odd')
    await run(first.admin, 'create view odd.pg_locks as select 1 as nothing')
    await run(first.admin, 'alter role postgres set search_path = odd, pg_catalog')
    const pid = await pidOf(options)
    const { result, warnings } = await warningsOf(options.cacheDir, () =>
      lab.module.startEmbedded(options).catch((error: unknown) => error),
    )
    expect(result).toMatchObject({ code: 'TESTDB_SERVER_START_FAILED' })
    expect(String(result)).toContain('was started again and still does not let testdb in: ')
    expect(warnings).toEqual([expect.stringContaining('it is ended and started again')])
    expect(await pidOf(options)).not.toBe(pid)
  })
})

async function pidOf({ cacheDir }: Options): Promise<string> {
  const file = path.join(cacheDir, CLUSTER, 'cluster/data/postmaster.pid')
  return (await readFile(file, 'utf8')).split('\n')[0] ?? ''
}

describe.concurrent('a server without a free connection', () => {
  test('is left alone, and that is the error', async () => {
    const options = await place()
    const server = await lab.module.startEmbedded(options)
    const before = await postmasterOf(server)
    const sessions = await fill(server.admin)
    try {
      const failure = await lab.module.startEmbedded(options).catch((error: unknown) => error)
      expect(failure).toMatchObject({ code: 'TESTDB_SERVER_UNREACHABLE' })
      expect(String(failure)).toContain('the embedded server is full')
      expect(await sessions[0]?.query('select 1 as one')).toMatchObject({ rows: [{ one: 1 }] })
    } finally {
      await Promise.all(sessions.map((session) => session.close()))
    }
    expect(await postmasterOf(await lab.module.startEmbedded(options))).toBe(before)
  })
})

/** Takes every connection that there is. */
async function fill(admin: ConnectionTarget): Promise<Session[]> {
  const sessions: Session[] = []
  for (;;) {
    const batch = Array.from({ length: 20 }, () =>
      Session.open(admin, { applicationName: 'test', connectTimeoutMs: 60_000 }),
    )
    const results = await Promise.allSettled(batch)
    for (const result of results) if (result.status === 'fulfilled') sessions.push(result.value)
    if (results.some((result) => result.status === 'rejected')) return sessions
  }
}
