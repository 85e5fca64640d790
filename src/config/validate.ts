/** Finds every problem of a configuration at once, in words that tell what to type instead. */
import { distance } from 'fastest-levenshtein'
import { safeParse } from 'valibot'
import { describeValue } from './describe-value.ts'
import { acceptedKeys, configSchema } from './schema.ts'

export interface Problem {
  /** The key, for example `pool.max` or `extensions[1]`; empty for the configuration as a whole. */
  readonly path: string
  /** What was expected and what came. */
  readonly message: string
}

/** Every problem of `config`, in the order of the keys; an empty list means that it is a `TestDbConfig`. */
export function findProblems(config: unknown): Problem[] {
  // One value can break several rules that all have the same text (0.5 is no integer and too small): one line each.
  const problems = new Map<string, Problem>()
  for (const issue of safeParse(configSchema, config).issues ?? []) {
    const steps = issue.path ?? []
    const path = joinPath(steps.map((step) => step.key))
    const last = steps.at(-1)
    const message =
      issue.type === 'never' && last !== undefined
        ? unknownKey(String(last.key), joinPath(steps.slice(0, -1).map((step) => step.key)), last.input)
        : `expected ${issue.message}, got ${describeValue(issue.input)}`
    problems.set(path, { path, message })
  }
  return [...problems.values()]
}

/** One line for people. */
export function formatProblem(problem: Problem): string {
  return problem.path === '' ? problem.message : `${problem.path}: ${problem.message}`
}

function joinPath(keys: readonly unknown[]): string {
  return keys.reduce<string>((path, key) => {
    if (typeof key === 'number') return `${path}[${key}]`
    return path === '' ? String(key) : `${path}.${String(key)}`
  }, '')
}

function unknownKey(key: string, parent: string, object: unknown): string {
  const kind = (object as { readonly kind?: unknown }).kind
  const accepted = acceptedKeys(parent, kind)
  const list = accepted.map((name) => `\`${name}\``).join(', ')
  const guess = closest(key, accepted) ?? elsewhere(key)
  if (guess !== undefined) return `unknown key, did you mean \`${guess}\`?`
  const where = parent === '' ? '' : ` in \`${parent}\``
  return `unknown key; accepted${where}: ${list}`
}

/** The most similar name, when it is similar enough to be what was meant. */
function closest(key: string, names: readonly string[]): string | undefined {
  const limit = Math.ceil(key.length / 3)
  const ranked = names
    .map((name) => ({ name, edits: distance(key.toLowerCase(), name.toLowerCase()) }))
    .sort((a, b) => a.edits - b.edits)
  const best = ranked[0]
  return best !== undefined && best.edits <= limit ? best.name : undefined
}

/** The right name in the wrong object (`max` for `pool.max`) is as common as a typing error. */
function elsewhere(key: string): string | undefined {
  const places = ['pool', 'role', 'hash', 'guards', 'report', 'server'].map((path) => ({
    path,
    keys: acceptedKeys(path),
  }))
  places.push({ path: 'server', keys: acceptedKeys('server', 'url') })
  const place = places.find(({ keys }) => keys.includes(key))
  return place === undefined ? undefined : `${place.path}.${key}`
}
