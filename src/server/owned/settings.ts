/** The settings of a server that holds nothing worth keeping, and why each is as it is. */

export interface TestSettingsInput {
  /** 0 when it is not known before the start. */
  readonly major: number
  readonly clusterName: string
  readonly maxConnections: number
  /** Where Postgres runs. */
  readonly platform: NodeJS.Platform
}

/** Names and values, as given to `postgres -c`. Nothing secret: they can be seen in `ps`. */
export function testSettings(input: TestSettingsInput): Readonly<Record<string, string>> {
  const { major, platform } = input
  return {
    // In the title of each process, so that orphans of a killed postmaster can be told from other people's.
    cluster_name: input.clusterName,

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
    // Unlike those, these are all written to at the start: with 64 for each connection, the default, it takes a fifth longer.
    // All connections share them: 6,400 are what an untouched server has.
    max_pred_locks_per_transaction: String(Math.max(10, Math.ceil(6_400 / input.maxConnections))),
    // Files are in the memory of the machine, one way or the other: to read them by other processes makes the start slower,
    // and nothing else faster.
    ...(major >= 18 && { io_method: 'sync', io_max_concurrency: '4' }),

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

/** Arguments of `initdb` that make every server alike, whatever LANG and the image say. */
export function initdbArguments(major: number, locale: string): string[] {
  return [
    // Order by code point, case and character classes of Unicode.
    ...['--encoding=UTF8', `--locale=${locale}`, '--lc-messages=C'],
    ...(major >= 17 ? ['--locale-provider=builtin', '--builtin-locale=C.UTF-8'] : []),
    // Nothing is lost with the machine that could not be made again.
    ...['--no-sync', '--no-instructions', ...(major >= 18 ? ['--no-data-checksums'] : [])],
    // Segments of 16 MB are most of what initdb and a fresh cluster weigh.
    '--wal-segsize=4',
    // The password is 192 random bits: stretching it only makes each connection slower.
    ...(major >= 16 ? ['--set', 'scram_iterations=1'] : []),
    // For the servers that initdb starts and for nobody else, as `testSettings` has the last word: less memory to write to makes
    // it a fifth faster.
    ...(major >= 16
      ? ['shared_buffers=4MB', 'max_connections=20', 'max_pred_locks_per_transaction=10'].flatMap((one) => [
          '--set',
          one,
        ])
      : []),
  ]
}
