/** Shows what a user wrote, in few characters and never with a password. */

const LONGEST = 40

/**
 * A short text for any value. Strings that may hold a password show nothing but their kind, and objects only their keys:
 * a connection string also ends up in places where nobody expected one.
 */
export function describeValue(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (typeof value === 'string') return describeString(value)
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'bigint') return `${value}n`
  if (Array.isArray(value)) return value.length === 1 ? 'an array with 1 item' : `an array with ${value.length} items`
  if (typeof value === 'object' && value !== null) return describeObject(value)
  return String(value)
}

/** A text on one line, shortened; secrets are hidden. */
export function describeString(text: string): string {
  const scheme = /^\s*([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]
  if (scheme !== undefined) return `a ${scheme}:// URL (not shown)`
  if (/@|pass|pwd|secret|token/i.test(text)) return `a text of ${text.length} characters (not shown)`
  return JSON.stringify(text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text)
}

function describeObject(value: object): string {
  const keys = Object.keys(value)
  if (keys.length === 0) return 'an empty object'
  const shown = keys.slice(0, 4).map((key) => (key.length > 20 ? `${key.slice(0, 20)}…` : key))
  return `an object with ${shown.join(', ')}${keys.length > shown.length ? ', …' : ''}`
}

/** A text of somebody else with the credentials of every URL in it hidden. */
export function hideCredentials(text: string): string {
  return text.replace(/:\/\/[^\s/@]*@/g, '://…@')
}
