/** The place in the user's code that a stack leads to. */
import { relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Where this file is, for the case that it is in no `node_modules`. */
const OWN = folderOf(import.meta.url)

function folderOf(url: string): string {
  const path = url.startsWith('file:') ? fileURLToPath(url) : url
  return path.slice(0, path.lastIndexOf(sep) + 1)
}

/** `src/db.ts:5`, from the working directory; undefined where no frame is of the user's code. */
export function placeOf(error: Error | undefined): string | undefined {
  for (const line of (error?.stack ?? '').split('\n').slice(1)) {
    const [, where = '', number] = /\(?((?:file:\/\/)?(?:\/|[A-Za-z]:[\\/]).*?):(\d+):\d+\)?$/.exec(line.trim()) ?? []
    if (number === undefined || where.includes(`${sep}node_modules${sep}`) || where.includes('/node_modules/')) continue
    const path = where.startsWith('file://') ? fileURLToPath(where) : where
    if (!path.startsWith(OWN)) return `${relative(process.cwd(), path)}:${number}`
  }
  return undefined
}
