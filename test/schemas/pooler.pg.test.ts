/** A pooler does not pass on what leads a worker to its schema; that is found out before anything is made. */
import { writeSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { resolveConfig } from '../../src/config/resolve.ts'
import { formatUrl } from '../../src/postgres/index.ts'
import { startRun } from '../../src/start-run.ts'
import { errorOf } from '../helpers/wait.ts'
import { PGBOUNCER, startBouncer } from '../locks/pgbouncer.ts'
import { SchemaLab } from './lab.ts'

if (PGBOUNCER === undefined)
  writeSync(2, '\n*** SKIPPED: schemas behind a pooler: PgBouncer is not installed (apt-get install pgbouncer) ***\n\n')

describe.skipIf(PGBOUNCER === undefined)('PgBouncer', () => {
  test('through PgBouncer, in session mode too: refused, and nothing is made', async () => {
    await using lab = await SchemaLab.start()
    const place = await lab.place()
    await using bouncer = await startBouncer(place.target, 'session')
    const url = formatUrl({ ...bouncer.target, database: place.target.database })
    const options = { isolation: 'schema', server: { kind: 'url', url } } as const
    const config = await resolveConfig({ cwd: place.project.root, options, env: {} })
    const error = await errorOf(startRun(config, { runner: 'test', slots: 1 }))
    expect(error).toMatchObject({ code: 'TESTDB_SERVER_UNSUPPORTED' })
    expect(error.message).toContain('does not take settings in the address (options=-c search_path=…)')
    const { rows } = await place.observer.query(`select nspname from pg_namespace where nspname like 'testdb%'`)
    expect(rows).toEqual([])
  })
})
