/**
 * Which operating system user Postgres runs as, and what that user can reach.
 *
 * Postgres refuses to run as root. Then an existing unprivileged user is taken; none is ever created. Anybody else runs it
 * as themselves.
 */
import { readFileSync, type Stats, statSync } from 'node:fs'
import path from 'node:path'
import { TestDbError } from '../../errors.ts'

export interface Account {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/** `postgres` where the system has it, so that `ps` reads well; `nobody` is on every Unix. */
const CANDIDATES = ['postgres', 'nobody'] as const

/** The account to switch to, or undefined when Postgres runs as the current user. */
export function chooseAccount(uid = process.getuid?.(), passwd = '/etc/passwd'): Account | undefined {
  if (uid !== 0) return undefined
  const users = readUsers(passwd)
  for (const name of CANDIDATES) {
    const user = users.get(name)
    if (user !== undefined && user.uid !== 0) return user
  }
  throw new TestDbError(
    'TESTDB_SERVER_START_FAILED',
    `Postgres does not run as root, and ${passwd} has none of the users ${CANDIDATES.join(', ')}`,
    { fixes: ['Run the tests as an ordinary user.', 'Run `npx testdb doctor` to check the whole set-up.'] },
  )
}

function readUsers(passwd: string): Map<string, Account> {
  const users = new Map<string, Account>()
  let text = ''
  try {
    text = readFileSync(passwd, 'utf8')
  } catch {
    // A container without /etc/passwd has no user to switch to; the caller says so.
  }
  for (const line of text.split('\n')) {
    const [name, , uid, gid] = line.split(':')
    if (name && uid && gid) users.set(name, { name, uid: Number(uid), gid: Number(gid) })
  }
  return users
}

/** What `fs.chmod` calls x and r. */
export const ENTER = 0o1
export const READ = 0o4

/**
 * Tells by the mode bits whether the account can enter every folder above `target` and has `rights` on `target` itself.
 * Mode bits are enough: a process started with uid and gid has no supplementary groups.
 */
export function canReach(target: string, account: Account, rights: number): boolean {
  for (let folder = path.dirname(target); ; folder = path.dirname(folder)) {
    if (!allows(statSync(folder), account, ENTER)) return false
    if (folder === path.dirname(folder)) break
  }
  return allows(statSync(target), account, rights)
}

function allows(stats: Stats, account: Account, rights: number): boolean {
  const shift = stats.uid === account.uid ? 6 : stats.gid === account.gid ? 3 : 0
  return ((stats.mode >> shift) & rights) === rights
}
