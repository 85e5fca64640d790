/** Tells the statements that control a transaction from all others. */
import { splitStatements } from './statements.ts'

export type Access = 'read only' | 'read write' | undefined

export type Control =
  | { readonly kind: 'begin'; readonly tag: string; readonly access: Access }
  | { readonly kind: 'modes'; readonly access: Access }
  | { readonly kind: 'commit' | 'rollback'; readonly chain: boolean }
  | { readonly kind: 'savepoint' | 'release' | 'rollback to'; readonly name: string }
  | { readonly kind: 'two-phase'; readonly command: string }

/** A piece of a query text: something to control, or statements that go to the server as they are. */
export type Part = { readonly text: string; readonly control: Control | undefined }

/** Most texts have none of these words, and need no closer look. */
const SUSPICIOUS = /\b(?:begin|start|commit|end|rollback|abort|savepoint|release|prepare|transaction)\b/i

/** The parts of a text; undefined when it controls no transaction and can go to the server as a whole. */
export function controlParts(text: string): Part[] | undefined {
  if (!SUSPICIOUS.test(text)) return undefined
  const parts: Part[] = []
  for (const statement of splitStatements(text)) {
    const control = parseControl(statement.bare)
    const last = parts.at(-1)
    // Statements side by side stay together: the server runs them as one transaction.
    if (!control && last && !last.control) parts[parts.length - 1] = { ...last, text: `${last.text};${statement.text}` }
    else parts.push({ text: statement.text, control })
  }
  return parts.some(({ control }) => control) ? parts : undefined
}

const MODE =
  'isolation level (?:serializable|repeatable read|read committed|read uncommitted)|read only|read write|(?:not )?deferrable'
const MODES = `((?:[ ,]*(?:${MODE}))*)`
const NAME = '("(?:[^"]|"")+"|[a-z_\\u0080-\\uffff][\\w$\\u0080-\\uffff]*)'
const BLOCK = '(?: work| transaction)?'
const rule = (source: string): RegExp => new RegExp(`^${source}$`, 'iu')

const BEGIN = rule(`(?:begin${BLOCK}|start transaction)${MODES}`)
const SET_MODES = rule(`set (?:local )?transaction${MODES}`)
const END = rule(`(commit|end|rollback|abort)${BLOCK}( and (?:no )?chain)?`)
const ROLLBACK_TO = rule(`rollback${BLOCK} to (?:savepoint )?${NAME}`)
const SAVEPOINT = rule(`(savepoint|release savepoint|release) ${NAME}`)
const TWO_PHASE = /^(prepare transaction|(?:commit|rollback) prepared)\b/i

/** `bare`: one statement without comments. What the server would not understand is not understood here either. */
export function parseControl(bare: string): Control | undefined {
  const begin = BEGIN.exec(bare)
  // The driver gives the first word of what the server answers.
  if (begin) return { kind: 'begin', tag: /^start/i.test(bare) ? 'START' : 'BEGIN', access: accessOf(begin[1]) }
  const end = END.exec(bare)
  if (end) {
    const kind = /^(?:commit|end)$/i.test(end[1] ?? '') ? 'commit' : 'rollback'
    return { kind, chain: /and chain/i.test(end[2] ?? '') }
  }
  const to = ROLLBACK_TO.exec(bare)
  if (to) return { kind: 'rollback to', name: folded(to[1]) }
  const savepoint = SAVEPOINT.exec(bare)
  if (savepoint)
    return { kind: /^release/i.test(savepoint[1] ?? '') ? 'release' : 'savepoint', name: folded(savepoint[2]) }
  const modes = SET_MODES.exec(bare)
  if (modes && modes[1] !== '') return { kind: 'modes', access: accessOf(modes[1]) }
  const twoPhase = TWO_PHASE.exec(bare)
  return twoPhase ? { kind: 'two-phase', command: (twoPhase[1] ?? '').toUpperCase() } : undefined
}

function accessOf(modes = ''): Access {
  return /read (?:only|write)/gi.exec(modes)?.[0].toLowerCase() as Access
}

const folded = (name = ''): string =>
  name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name.toLowerCase()
