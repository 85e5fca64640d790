/** The version of this package. Looked for upwards, because sources and bundle lie at different depths. */
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export function ownVersion(): string {
  for (let folder = path.dirname(fileURLToPath(import.meta.url)); ; folder = path.dirname(folder)) {
    const file = path.join(folder, 'package.json')
    const { name, version } = existsSync(file)
      ? (JSON.parse(readFileSync(file, 'utf8')) as { name?: string; version?: string })
      : {}
    if (name === 'testdb' && version !== undefined) return version
    if (folder === path.dirname(folder)) throw new Error('bug: no package.json of testdb above its code')
  }
}
