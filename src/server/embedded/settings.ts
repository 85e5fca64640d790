/** How the embedded server is started: the settings of every test server, and where this one listens. */
import { type TestSettingsInput, testSettings } from '../owned/settings.ts'

export interface SettingsInput extends Omit<TestSettingsInput, 'platform'> {
  readonly port: number
  /** Undefined where there are no Unix sockets. */
  readonly socketDir: string | undefined
  readonly platform?: NodeJS.Platform
}

/** Names and values, as given to `postgres -c`. Nothing secret: they can be seen in `ps`. */
export function serverSettings(input: SettingsInput): Readonly<Record<string, string>> {
  const { socketDir, platform = process.platform } = input
  return {
    ...testSettings({ ...input, platform }),
    // Only this machine, and only with the password. The quotes are for a folder with a comma or a space in it.
    listen_addresses: '127.0.0.1',
    port: String(input.port),
    unix_socket_directories: socketDir === undefined ? '' : `"${socketDir}"`,
    // Who gets in has the socket folder's rights, and still needs the password.
    unix_socket_permissions: '0700',
  }
}

/** Arguments of `postgres`. `-D` comes first: by it a postmaster is recognised as ours. */
export function serverArguments(dataDir: string, settings: Readonly<Record<string, string>>): string[] {
  return ['-D', dataDir, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])]
}
