/** HTML whose holes are escaped: names of tests, statements and messages of servers are not ours. */

/** Text that is markup already. */
export class Markup {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

type Hole = string | number | null | undefined | false | Markup | readonly Hole[]

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Attributes have to be in quotes. */
export function html(parts: TemplateStringsArray, ...holes: readonly Hole[]): Markup {
  return new Markup(parts.reduce((text, part, i) => text + fill(holes[i - 1]) + part))
}

function fill(hole: Hole): string {
  if (hole === null || hole === undefined || hole === false) return ''
  if (hole instanceof Markup) return hole.text
  if (Array.isArray(hole)) return (hole as readonly Hole[]).map(fill).join('')
  return (
    String(hole)
      // Characters that no page may have, such as those that colour a terminal.
      .replace(/[^\P{Cc}\t\n\r]/gu, '')
      .replace(/[&<>"']/g, (one) => ENTITIES[one] ?? one)
  )
}
