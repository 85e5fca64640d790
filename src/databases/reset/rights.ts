/** Which strategies the admin role of a server has the rights for. */
import type { ResetName } from './strategy.ts'

/** `rows` needs what only superusers may have on every supported version; without it `truncate` takes its place (server/rights.ts says so). */
export const usableReset = ({ resetRows }: { readonly resetRows: boolean }, wanted: ResetName): ResetName =>
  wanted === 'rows' && !resetRows ? 'truncate' : wanted
