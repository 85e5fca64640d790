/**
 * Every command with its options, arguments and an example. What a command does is in a file of its own, which is loaded only
 * when the command is called: `--help` must not wait for a database driver.
 */
import { Command } from 'commander'
import { count, existingFolder, keepDays, seconds } from './arguments.ts'
import type { CommonOptions } from './project.ts'
import type { Terminal } from './terminal.ts'
import { ownVersion } from './version.ts'

/** `exit` is told the exit code of the command that ran; usage errors are thrown as CommanderError. */
export function createProgram(terminal: Terminal, exit: (code: number) => void): Command {
  const program = new Command('testdb')
    .description('A real, migrated Postgres database for every test worker.')
    .version(ownVersion(), '--version', 'show the version')
    .helpOption('--help', 'show this help')
    .helpCommand('help [command]', 'show the help of a command')
    .exitOverride()
    .showSuggestionAfterError()
    .showHelpAfterError('Add --help to see how it is used.')
    // Options after the command belong to the command; `run` passes on everything behind its own command.
    .enablePositionalOptions()
    .addHelpText('after', '\nExample:\n  $ npx testdb run -- npm test')
  addCommonOptions(program)

  function command(name: string, description: string, example: string): Command {
    const added = program.command(name).description(description).helpOption('--help', 'show this help')
    return addCommonOptions(added).addHelpText('after', `\nExample:\n  $ npx testdb ${example}`)
  }
  /** Common options may stand before the command too; those behind it win. */
  function optionsOf<T>(of: Command): T & CommonOptions {
    return { ...program.opts<CommonOptions>(), ...of.opts<T & CommonOptions>() }
  }

  const run = command('run', 'lease a migrated database and run a command with it', 'run -- npm test')
    .argument('<command...>', 'the command and its arguments')
    .passThroughOptions()
    .action(async (words: string[]) => exit(await (await import('./run.ts')).run(words, optionsOf(run), terminal)))

  const reset = command('reset', 'heal stuck migration locks', 'reset --url postgres://localhost/app_test')
    .option('--url <url>', 'heal the database of this connection string and no other')
    .option('--force', 'heal although a living session could hold the lock')
    .option('--all', "also drop this project's idle templates and databases")
    .option('--table <name>', "Knex's migrations table (default: the project's, else knex_migrations)")
    .option('--schema <name>', 'schema of that table (default: found through the search path)')
    .option('--wait <seconds>', 'how long to wait for a living session to end', seconds, 0)
    .action(async () => exit(await (await import('./reset.ts')).reset(optionsOf(reset), terminal)))

  const status = command('status', 'show servers, runs, templates, databases and connections', 'status --json')
    .option('--json', 'print JSON')
    .option('--watch', 'stay, and show what changes')
    .action(async () => exit(await (await import('./status/status.ts')).status(optionsOf(status), terminal)))

  const report = command('report', 'show what is on record of a run of the tests: the last one', 'report --html')
    .argument('[run]', 'another run, as --list names it, or a part of its name')
    .option('--json', 'print JSON')
    .option('--html [file]', 'write a page (default: report.html beside the record) and print where it is')
    .option('--list', 'list the runs that are on record')
    .action(async (name?: string) =>
      exit(await (await import('./report.ts')).report(name, optionsOf(report), terminal)),
    )

  const doctor = command('doctor', 'check the whole set-up and say what to type for each problem', 'doctor')
    .option('--json', 'print JSON')
    .option('--budget', 'only the connections: of the test server, or with the options below of your application')
    .option('--users <n>', 'people who use the application at the same time', count(1))
    .option('--background <n>', 'jobs that hold a connection at the same time', count(0))
    .option('--maintenance <n>', 'connections for maintenance', count(0))
    .option('--pool <n>', 'connections at most in the pool of a pod (default: 10, as in Knex and pg)', count(1))
    .option('--pods <n>', 'processes with a pool each (default: 1)', count(1))
    .option('--lock-pool <n>', 'connections at most in the pool for advisory locks of a pod', count(0))
    .option('--max-connections <n>', "of the server (default: that of the configuration's URL, else 100)", count(1))
    .action(async () => exit(await (await import('./doctor/doctor.ts')).doctor(optionsOf(doctor), terminal)))

  const up = command('up', 'start the embedded server or the container, and keep it running', 'up').action(async () =>
    exit(await (await import('./up.ts')).up(optionsOf(up), terminal)),
  )

  const down = command('down', 'stop the embedded server or the container', 'down --force')
    .option('--force', 'stop it although runs are using it')
    .action(async () => exit(await (await import('./down.ts')).down(optionsOf(down), terminal)))

  const url = command('url', 'print the connection string of a database, password included', 'url testdb_shop_4')
    .argument('<name>', 'the database, as `testdb status` lists it')
    .action(async (name: string) => exit(await (await import('./url.ts')).url(name, optionsOf(url), terminal)))

  const prune = command('prune', 'remove templates and databases that no live run uses', 'prune --keep-days 7')
    .option('--keep-days <days>', 'keep templates that were used within this many days', keepDays, 0)
    .option('--dry-run', 'only list what would be removed')
    .action(async () => exit(await (await import('./prune.ts')).prune(optionsOf(prune), terminal)))

  return program
}

function addCommonOptions(command: Command): Command {
  return command
    .option('--config <file>', 'the configuration file (default: testdb.config.* of the project)')
    .option('--cwd <folder>', 'work as if started in this folder', existingFolder)
}
