/** Connects to the embedded server that a state names, and checks that it is that one: by its data folder. */
import { type Probe as AnyProbe, type ProbeOptions, probeServer, type Seen } from '../owned/probe.ts'
import { adminTarget, type ServerState } from './state-file.ts'

export interface Found extends Seen {
  readonly state: ServerState
}

export type Probe = { readonly found: Found } | Extract<AnyProbe, { readonly found: undefined }>

/** See `probeServer`. */
export async function probe(state: ServerState, options?: ProbeOptions): Promise<Probe> {
  const identity = { admin: adminTarget(state), setting: 'data_directory', value: state.dataDir } as const
  const result = await probeServer(identity, options)
  return result.found === undefined ? result : { found: { ...result.found, state } }
}
