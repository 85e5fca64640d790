/** The content hash that names a template: everything that could make the migrated database another one. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { glob } from 'tinyglobby'

export interface HashParts {
  /** Tool, version, options, names and contents of migrations and seeds: the migrator's own hash. */
  readonly migrator: string
  /** The configured seed's own hash. */
  readonly seed: string | undefined
  readonly extensions: readonly string[]
  readonly serverMajor: number
  readonly superuser: boolean
  /** The role that owns everything in it. */
  readonly owner: string
  /** Format of the registry and of what testdb installs in a template. */
  readonly format: number
  /** What the reset strategy installs; templates with other contents are other templates. */
  readonly installed: string
}

export interface HashExtras {
  readonly root: string
  /** Globs of files that migrations import from outside their folder. */
  readonly include: readonly string[]
  /** Variables that migrations read. Only a digest of their values goes in. */
  readonly env: readonly string[]
}

/** Returns 32 hex digits; equal in every checkout that has the same files. */
export async function templateHash(parts: HashParts, extras: HashExtras): Promise<string> {
  const hash = createHash('sha256')
  hash.update(JSON.stringify({ ...parts, extensions: [...parts.extensions].sort() }))
  for (const name of [...extras.env].sort()) hash.update(JSON.stringify([name, process.env[name] ?? null]))
  for (const file of await includedFiles(extras)) {
    const content = await readFile(`${extras.root}/${file}`)
    hash.update(JSON.stringify([file, content.length])).update(content)
  }
  return hash.digest('hex').slice(0, 32)
}

async function includedFiles({ include, root }: HashExtras): Promise<string[]> {
  if (include.length === 0) return []
  const files = await glob([...include], { cwd: root, ignore: ['**/node_modules/**'], dot: true })
  return files.sort()
}
