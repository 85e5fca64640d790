/** How to reach the server in a container, and which container it is. */
import { rm } from 'node:fs/promises'
import type { ConnectionTarget } from '../../postgres/index.ts'
import type { Identity } from '../owned/probe.ts'
import { readStateAs } from '../owned/state-file.ts'

export interface ContainerState {
  readonly format: 1
  /** Its id; another one is another server. */
  readonly container: string
  readonly name: string
  /** Where the engine's ports are, and the one that leads to Postgres. */
  readonly host: string
  readonly port: number
  /** Password of the superuser `postgres`. */
  readonly password: string
}

export const readState = (file: string): Promise<ContainerState | undefined> => readStateAs(file, isState)

/** Removes the file, unless it speaks of another container by now. */
export async function removeState(file: string, { container }: ContainerState): Promise<void> {
  const current = await readState(file).catch(() => undefined)
  if (current === undefined || current.container === container) await rm(file, { force: true })
}

/** The maintenance database as the superuser. */
export function adminTarget({ host, port, password }: ContainerState): ConnectionTarget {
  // Said out loud: undefined would let PGSSLMODE decide, which is meant for other servers.
  return { host, port, user: 'postgres', password, database: 'postgres', ssl: false }
}

/** A port is given to other containers later, so the server has to say who it is. */
export const identityOf = (state: ContainerState): Identity => ({
  admin: adminTarget(state),
  setting: 'cluster_name',
  value: state.name,
})

function isState(value: unknown): value is ContainerState {
  if (typeof value !== 'object' || value === null) return false
  const { format, port, ...texts } = value as Partial<Record<keyof ContainerState, unknown>>
  return (
    format === 1 &&
    Number.isInteger(port) &&
    [texts.container, texts.name, texts.host, texts.password].every((text) => typeof text === 'string')
  )
}
