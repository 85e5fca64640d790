/** Every value of the configuration and where it came from. */
import path from 'node:path'
import type { ResolvedConfig } from '../../config/config.ts'
import { describeTarget, parseUrl } from '../../postgres/index.ts'

export interface ConfigValue {
  readonly key: string
  /** For people; never a password. */
  readonly value: string
  /** `default`, `environment`, `option`, or the name of the file. */
  readonly origin: string
}

export function configValues(config: ResolvedConfig): ConfigValue[] {
  const file = config.file === undefined ? 'file' : path.basename(config.file)
  return Object.entries(config.origins).map(([key, origin]) => ({
    key,
    value: describe(key, valueAt(config, key)),
    origin: origin === 'file' ? file : origin,
  }))
}

/** The databases by their names: what each has is said by the checks. */
function valueAt(config: ResolvedConfig, key: string): unknown {
  if (key !== 'databases') return valueIn(config, key)
  return config.origins[key] === 'default' ? undefined : [config, ...config.others].map((one) => one.databaseName)
}

function valueIn(config: ResolvedConfig, key: string): unknown {
  return key.split('.').reduce<unknown>((value, part) => (value as Record<string, unknown>)[part], config)
}

function describe(key: string, value: unknown): string {
  if (key === 'server.url') return withoutPassword(String(value))
  if (key === 'migrator' && value === undefined) return 'detected'
  if (key === 'migrator') return (value as { name: string }).name
  if (typeof value === 'function') return `function ${value.name || '(no name)'}`
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.join(', ')
  return value === undefined ? 'none' : String(value)
}

function withoutPassword(url: string): string {
  try {
    return describeTarget(parseUrl(url))
  } catch {
    return '(not a connection string)'
  }
}
