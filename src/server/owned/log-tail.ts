/** The end of a log file, for error messages. */
import { open } from 'node:fs/promises'

const LINES = 20
/** Twenty long lines; a log of any size costs one read. */
const BYTES = 16 * 1024

export async function logTail(file: string): Promise<string[]> {
  try {
    await using handle = await open(file, 'r')
    const { size } = await handle.stat()
    const start = Math.max(0, size - BYTES)
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(BYTES), 0, BYTES, start)
    const lines = buffer.toString('utf8', 0, bytesRead).split('\n').filter(Boolean)
    return lines.slice(-LINES)
  } catch {
    return []
  }
}
