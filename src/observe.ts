/** `logger` and `onEvent` of the configuration, in the process that has it and in workers, which are told only where it is. */
import { dirname } from 'node:path'
import type { ResolvedConfig } from './config/config.ts'
import { messageOf } from './errors.ts'
import { type Observers, observe, observersOf, sayOnStderr } from './report/observe.ts'

type Given = Pick<ResolvedConfig, 'logger' | 'onEvent' | 'file' | 'origins'>

/** Tells them everything until the returned function is called. What comes from the file is the same one whoever loads it. */
export function observeConfig(config: Given): () => void {
  const { logger, onEvent } = config
  const file = fileWithObservers(config)
  const fromFile = {
    logger: config.origins.logger === 'file' ? logger : undefined,
    onEvent: config.origins.onEvent === 'file' ? onEvent : undefined,
  }
  const endings = file === undefined ? [] : [observe(file, fromFile)]
  if (logger && !fromFile.logger) endings.push(observe(logger, { logger }))
  if (onEvent && !fromFile.onEvent) endings.push(observe(onEvent, { onEvent }))
  return () => {
    for (const end of endings) end()
  }
}

/** Tells them of a start, and of what follows it until `endObserving()`. */
export async function observed<S extends object>(
  config: Given,
  start: () => Promise<S>,
): Promise<S & { endObserving(): void }> {
  const endObserving = observeConfig(config)
  try {
    return { ...(await start()), endObserving }
  } catch (error) {
    endObserving()
    throw error
  }
}

/** The file that a worker has to load, if it has to. */
export function fileWithObservers({ file, origins }: Given): string | undefined {
  return origins.logger === 'file' || origins.onEvent === 'file' ? file : undefined
}

const failed = new Set<string>()

/** In a worker: tells the logger and the listener of that file, or stderr. It may cost the loading of the file, and never fails. */
export async function observeInWorker(file: string | undefined): Promise<void> {
  sayOnStderr()
  if (file === undefined || failed.has(file)) return
  const known = observersOf(file)
  if (known) return void observe(file, known)
  try {
    const { loadConfig } = await import('./config/load.ts')
    const { config } = await loadConfig(dirname(file), file)
    observe(file, observersIn(config))
  } catch (error) {
    failed.add(file)
    process.stderr.write(`testdb: logger and onEvent are not used in this worker: ${messageOf(error)}\n`)
  }
}

/** The main process has checked them; a file may give something else to each process. */
function observersIn(config: unknown): Observers {
  const { logger, onEvent } = (config ?? {}) as Observers
  return {
    logger: typeof logger?.warn === 'function' && typeof logger.error === 'function' ? logger : undefined,
    onEvent: typeof onEvent === 'function' ? onEvent : undefined,
  }
}
