/**
 * How to reach the running server: written when it accepts connections, renamed away when it is about to be stopped.
 * It is a hint. Whoever reads it connects and checks that the server there really is the one (probe.ts).
 */
import { readdir, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { errnoOf } from './folders.ts'

/** Its name while the server is being stopped. */
export const setAside = (file: string): string => `${file}.stopping`

/** Undefined when there is nothing that `isState` takes: missing or half written by a broken disk, nothing is known. */
export async function readStateAs<S>(file: string, isState: (value: unknown) => value is S): Promise<S | undefined> {
  try {
    const state: unknown = JSON.parse(await readFile(file, 'utf8'))
    return isState(state) ? state : undefined
  } catch (error) {
    // No right to read it is worth saying.
    if (errnoOf(error) === 'EACCES' || errnoOf(error) === 'EPERM') throw error
    return undefined
  }
}

export async function writeState(file: string, state: object): Promise<void> {
  const temporary = `${file}.${process.pid}`
  await writeFile(temporary, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 })
  await rename(temporary, file)
}

/** Removes the file, also where it was set aside or half written by who is dead now. The caller knows that no server runs. */
export async function removeLeftStates(file: string): Promise<void> {
  const folder = path.dirname(file)
  const left = (await readdir(folder)).filter((name) => name.startsWith(path.basename(file)))
  for (const name of left) await rm(path.join(folder, name), { force: true })
}

/** Tells the supervisor that somebody is about to use the server; false when the file is gone. */
export async function touchState(file: string): Promise<boolean> {
  const now = new Date()
  try {
    await utimes(file, now, now)
    return true
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
}
