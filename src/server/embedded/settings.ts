/** The settings of a server that holds nothing worth keeping, and why each is as it is. */

export interface SettingsInput {
  readonly major: number
  readonly clusterName: string
  readonly port: number
  /** Undefined where there are no Unix sockets. */
  readonly socketDir: string | undefined
  readonly maxConnections: number
  readonly platform?: NodeJS.Platform
}

/** Names and values, as given to `postgres -c`. Nothing secret: they can be seen in `ps`. */
export function serverSettings(input: SettingsInput): Readonly<Record<string, string>> {
  const { major, socketDir, platform = process.platform } = input
  return {
    // In the title of each process, so that orphans of a killed postmaster can be told from other people's.
    cluster_name: input.clusterName,
    // Only this machine, and only with the password. The quotes are for a folder with a comma or a space in it.
    listen_addresses: '127.0.0.1',
    port: String(input.port),
    unix_socket_directories: socketDir === undefined ? '' : `"${socketDir}"`,
    // Who gets in has the socket folder's rights, and still needs the password.
    unix_socket_permissions: '0700',

    // Durability is what a test database does not need: a machine that crashes costs a new cluster, nothing else.
    fsync: 'off',
    synchronous_commit: 'off',
    full_page_writes: 'off',
    wal_level: 'minimal',
    max_wal_senders: '0',
    // Its launcher is one process more to start, and there is nothing to replicate.
    max_logical_replication_workers: '0',
    // Checkpoints only slow down, so they are rare; the size bounds what lies in memory.
    checkpoint_timeout: '1h',
    max_wal_size: '512MB',
    min_wal_size: '32MB',

    // Databases live for seconds; autovacuum's workers would hold clones and drops up.
    autovacuum: 'off',
    // Planning with the compiler costs more than any test's query.
    jit: 'off',
    // For the runs of all terminals: 53 workers with full pools. A slot costs 36 kB of memory, and nothing while it is not used.
    max_connections: String(input.maxConnections),
    shared_buffers: '128MB',
    // A migration of hundreds of tables in one transaction, and a truncate of all of them, hold that many locks.
    // All connections share them: 48,000. A larger table makes every look at pg_locks slower, by which we tell who lives.
    max_locks_per_transaction: '32',

    // /dev/shm of a container has 64 MB by default, which parallel queries exceed: files in the data folder have no limit
    // and leave nothing behind. macOS and Windows have their own defaults.
    ...(platform === 'linux' && { dynamic_shared_memory_type: 'mmap' }),
    // A client that was killed while it waits or works is noticed this soon, and its locks are free.
    ...(platform === 'linux' && { client_connection_check_interval: '500ms' }),
    // The password is 192 random bits: stretching it only makes each connection slower. For roles made later too.
    ...(major >= 16 && { scram_iterations: '1' }),

    // The same on every machine.
    timezone: 'UTC',
    log_timezone: 'UTC',
    // The log goes to a file for as long as the server runs, so it says little; statements that fail belong to the tests.
    logging_collector: 'off',
    log_destination: 'stderr',
    log_min_messages: 'log',
    log_min_error_statement: 'panic',
    log_checkpoints: 'off',
  }
}

/** Arguments of `postgres`. `-D` comes first: by it a postmaster is recognised as ours. */
export function serverArguments(dataDir: string, settings: Readonly<Record<string, string>>): string[] {
  return ['-D', dataDir, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])]
}
