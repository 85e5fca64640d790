/** The text of a statement as it may be shown: in one short line, without its literals, which may be anybody's data. */

const LENGTH = 200
/** What is read of a text: nobody is shown the thousandth row of an insert. */
const READ = 5_000
/** Comments, literals of all forms and numbers; what stands in double quotes is a name. */
const PARTS =
  /--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|\$([A-Za-z_]\w*|)\$[\s\S]*?(?:\$\1\$|$)|\b[eE]'(?:[^'\\]|\\.|'')*(?:'|$)|'(?:[^']|'')*(?:'|$)|"(?:[^"]|"")*(?:"|$)|(?<![\w$])\d[\w.]*/g

/** `select * from users where mail = ?`; a statement that mentions a password is not shown at all. */
export function shownStatement(text: string): string {
  // A comment may have one as well, and what is cut off.
  if (/passw(or)?d/i.test(text)) return '(a statement that mentions a password)'
  const plain = text
    .slice(0, READ)
    .replace(PARTS, (part) => (part.startsWith('"') ? part : /^(--|\/\*)/.test(part) ? ' ' : '?'))
    .replace(/\s+/g, ' ')
    .trim()
  return plain.length > LENGTH ? `${plain.slice(0, LENGTH)}…` : plain
}

/** The text of what the driver's `query` is called with, as far as it has one: a cursor keeps its own. */
export function statementOf(asked: unknown): string {
  if (typeof asked === 'string') return asked
  const { text, cursor } = (asked ?? {}) as { readonly text?: unknown; readonly cursor?: { readonly text?: unknown } }
  const found = text ?? cursor?.text
  return typeof found === 'string' ? found : ''
}
