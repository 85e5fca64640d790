/** Cuts a query text into its statements, as the server does, so that those that control transactions can be told from the rest. */

export interface Statement {
  /** As it was written, without the `;` that ends it. */
  readonly text: string
  /** Without comments, and with one space where there was white space. */
  readonly bare: string
}

/** Comments between slash and star are followed to their end apart from this, because they nest. */
const TOKEN =
  /(?<blank>\s+|--[^\n]*)|\/\*|[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|(?<dollar>\$(?:[a-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$)|(?<word>[a-z_\u0080-\uffff][\w$\u0080-\uffff]*)|./gisu

/**
 * @example
 * splitStatements(`begin; select ';' -- ;`).map(({ bare }) => bare) // ['begin', `select ';'`]
 */
export function splitStatements(text: string): Statement[] {
  const statements: Statement[] = []
  let start = 0
  // Not one text that grows: to look at its end each time would make long texts slow.
  let bare: string[] = []
  // Semicolons do not end a statement in parentheses (rules), nor in the body of a routine, from BEGIN ATOMIC to its END.
  let depth = 0
  let inBody = false
  const blank = (): void => {
    if (bare.length > 0 && bare.at(-1) !== ' ') bare.push(' ')
  }
  const finish = (end: number): void => {
    if (bare.length > 0) statements.push({ text: text.slice(start, end), bare: bare.join('').trimEnd() })
    start = end + 1
    bare = []
    depth = 0
    inBody = false
  }
  TOKEN.lastIndex = 0
  for (let match = TOKEN.exec(text); match; match = TOKEN.exec(text)) {
    const [token] = match
    const word = token.toLowerCase()
    if (match.groups?.blank !== undefined) blank()
    else if (token === '/*') {
      TOKEN.lastIndex = endOfComment(text, TOKEN.lastIndex)
      blank()
    } else if (match.groups?.dollar !== undefined) {
      const end = text.indexOf(token, TOKEN.lastIndex)
      TOKEN.lastIndex = end < 0 ? text.length : end + token.length
      bare.push(text.slice(match.index, TOKEN.lastIndex))
    } else if (token === ';' && depth === 0) finish(match.index)
    else {
      if (word === 'atomic' && isWord(bare.at(-2), 'begin') && isWord(bare[0], 'create')) inBody = true
      if (word === '(' || (inBody && (word === 'atomic' || word === 'case'))) depth++
      else if (word === ')' || (inBody && word === 'end')) depth = Math.max(0, depth - 1)
      bare.push(token)
    }
  }
  finish(text.length)
  return statements
}

const isWord = (token: string | undefined, word: string): boolean => token?.toLowerCase() === word

function endOfComment(text: string, from: number): number {
  const edge = /\/\*|\*\//g
  edge.lastIndex = from
  let depth = 1
  for (let match = edge.exec(text); match; match = edge.exec(text)) {
    depth += match[0] === '/*' ? 1 : -1
    if (depth === 0) return edge.lastIndex
  }
  return text.length
}
