/** Small tables of numbers under the lines of the doctor. */
import type { Terminal } from '../terminal.ts'

export interface Table {
  readonly title: string
  readonly rows: readonly TableRow[]
}

/** Name, number, and where the number comes from. */
export type TableRow = readonly [name: string, value: number | string, note?: string]

/** Columns are as wide as the widest of all tables, so that the numbers stand below each other. */
export function printTables(tables: readonly Table[], { out }: Terminal): void {
  const rows = tables.flatMap((table) => table.rows)
  const name = Math.max(...rows.map((row) => row[0].length))
  const number = Math.max(...rows.map((row) => String(row[1]).length))
  for (const table of tables) {
    out(table.title)
    for (const [key, value, note] of table.rows) {
      out(`  ${key.padEnd(name)}  ${String(value).padStart(number)}${note === undefined ? '' : ` (${note})`}`)
    }
  }
}
