/** Small projects in temporary folders, written by the tests that need them. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { folderOf } from './packages.ts'

export interface ProjectFolder extends Disposable {
  readonly root: string
  /** Writes files by relative path; each write gets a later time than the one before. */
  write(files: Readonly<Record<string, string>>): void
}

let clock = Date.now() / 1000

export function projectFolder(
  files: Readonly<Record<string, string>> = {},
  options: { readonly packages?: readonly string[] } = {},
): ProjectFolder {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'testdb-project-')))
  mkdirSync(join(root, 'node_modules'))
  for (const name of options.packages ?? ['knex']) symlinkSync(folderOf(name), join(root, 'node_modules', name))
  const write = (all: Readonly<Record<string, string>>): void => {
    for (const [name, content] of Object.entries(all)) {
      const path = join(root, name)
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, content)
      // File systems with coarse times would hide a quick change of the same length.
      clock += 2
      utimesSync(path, clock, clock)
    }
  }
  write({ 'package.json': '{"name":"project"}', ...files })
  return { root, write, [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }) }
}
