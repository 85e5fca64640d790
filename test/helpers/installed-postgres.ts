/** A Postgres of the distribution, for tests on binaries that are not those of the packages. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Installation } from './private-postgres.ts'

const DEBIAN = '/usr/lib/postgresql'

/** The newest one that is installed as Debian's packages do it; undefined where there is none. */
export function findInstalled(): Installation | undefined {
  const majors = existsSync(DEBIAN)
    ? readdirSync(DEBIAN)
        .map(Number)
        .filter((major) => major >= 14)
    : []
  return majors
    .sort((a, b) => b - a)
    .map((major) => ({ major, bin: join(DEBIAN, String(major), 'bin') }))
    .find(({ bin }) => existsSync(join(bin, 'initdb')))
}
