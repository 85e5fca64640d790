/** Remembers which statement an error belongs to: the driver's errors have a position, but not the text it counts in. */
import { serverErrorIn } from './failure.ts'

export type Query = (sql: string, values?: readonly unknown[]) => Promise<{ rows: Record<string, unknown>[] }>

export class StatementRecorder {
  readonly #sqlOf = new WeakMap<Error, string>()

  /** The `query` that user code is given. */
  wrap(session: { readonly query: Query }): Query {
    return async (sql, values) => {
      try {
        const { rows } = await session.query(sql, values)
        return { rows }
      } catch (error) {
        if (error instanceof Error) this.#sqlOf.set(error, sql)
        throw error
      }
    }
  }

  sqlOf(error: unknown): string | undefined {
    const server = serverErrorIn(error)
    return server && this.#sqlOf.get(server)
  }
}
