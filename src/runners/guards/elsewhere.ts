/** The guards that ask whether tests were in the database that they were given: connections to others, a changed environment. */
import type { RunContext } from '../../databases/context.ts'
import type { WorkerDatabase } from '../../databases/database.ts'
import type { ChangedVariable } from '../../guards/other-server.ts'
import { parseUrl } from '../../postgres/index.ts'

/** The variables that lead to another place than where testdb has pointed them. */
export function changedVariables(context: RunContext, database: WorkerDatabase): ChangedVariable[] {
  return [context, ...(context.others ?? [])].flatMap((one) => {
    const own = database.named[one.name]
    if (own === undefined || one.env === false) return []
    return one.env.flatMap((name): ChangedVariable[] => {
      const now = process.env[name]
      const from = shown(own.url)
      const to = now === undefined ? undefined : shown(now)
      return to === from ? [] : [{ name, from, to }]
    })
  })
}

/** Where a URL leads, without its password. */
function shown(url: string): string {
  try {
    const { host, port, database } = parseUrl(url)
    return `${host}:${port}/${database}`
  } catch {
    // The parser's error has the password in it.
    return `a text of ${url.length} characters`
  }
}
