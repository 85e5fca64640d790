/** What Jest says when a worker takes longer than half a second to end. */
import { availableParallelism, loadavg } from 'node:os'

/**
 * Takes that sentence away where the machine is so busy that an empty worker may take as long: then it says nothing of us. That nothing is
 * left open is shown by Jest's own search for open handles, in band.
 */
export function withoutForced(output: string): string {
  const [load = 0] = loadavg()
  return load > 1.5 * availableParallelism()
    ? output.replace(/^.*(failed to exit gracefully|force exited).*$/gim, '')
    : output
}
