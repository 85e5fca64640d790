/** Finds the workspace root of a project, so that all packages of a monorepo share one server. */
import { readFileSync } from 'node:fs'
import path from 'node:path'

/** The nearest ancestor whose workspaces contain the project, else the project itself. */
export function findWorkspaceRoot(projectRoot: string): string {
  const project = path.resolve(projectRoot)
  for (let folder = path.dirname(project); ; folder = path.dirname(folder)) {
    if (contains(workspacePatterns(folder), path.relative(folder, project))) return folder
    if (folder === path.dirname(folder)) return project
  }
}

function workspacePatterns(folder: string): string[] {
  const patterns = pnpmPatterns(readText(path.join(folder, 'pnpm-workspace.yaml')))
  const manifest = readText(path.join(folder, 'package.json'))
  if (manifest === undefined) return patterns
  try {
    const { workspaces } = JSON.parse(manifest) as { workspaces?: string[] | { packages?: string[] } }
    return [...patterns, ...(Array.isArray(workspaces) ? workspaces : (workspaces?.packages ?? []))]
  } catch {
    // A broken package.json above the project is not ours to complain about.
    return patterns
  }
}

/** The list below `packages:`; the one thing of that file that matters here does not need a YAML parser. */
function pnpmPatterns(text: string | undefined): string[] {
  const list = /^packages:[^\S\n]*\n((?:[^\S\n]*(?:-.*|#.*)?\n?)*)/m.exec(text ?? '')?.[1] ?? ''
  return [...list.matchAll(/^\s*-\s*['"]?([^'"#\n]+?)['"]?\s*(?:#.*)?$/gm)].map((match) => match[1] ?? '')
}

function contains(patterns: readonly string[], relative: string): boolean {
  const file = relative.split(path.sep).join('/')
  let inside = false
  for (const pattern of patterns) {
    const negated = pattern.startsWith('!')
    if (globToRegExp(negated ? pattern.slice(1) : pattern).test(file)) inside = !negated
  }
  return inside
}

function globToRegExp(glob: string): RegExp {
  const plain = glob.replace(/^\.\//, '').replace(/\/+$/, '')
  const source = plain.replace(/\*\*\/?|\*|\?|[.+^${}()|[\]\\]/g, (token) => {
    if (token.startsWith('**')) return '.*'
    if (token === '*') return '[^/]*'
    return token === '?' ? '[^/]' : `\\${token}`
  })
  return new RegExp(`^${source}$`)
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
