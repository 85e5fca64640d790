/**
 * The role that owns templates and databases, runs the migrations and is what tests connect as. It is no superuser, so
 * connection limits bind it and a migration that needs more than production grants fails here too.
 */
import { createHmac } from 'node:crypto'
import { TestDbError } from '../errors.ts'
import { ident, isPassword, isSqlState, LOCK_SPACE, literal, type Session, withSession } from '../postgres/index.ts'

export interface Role {
  readonly user: string
  readonly password: string | undefined
  readonly superuser: boolean
}

/** The second name is for servers where somebody else has a role of the first one. */
const NAMES = ['testdb', 'testdb_tests'] as const

/** Tells our role from one of the same name that somebody else has made; only ours is ever altered. */
const MARK = 'testdb: owner of the databases that test runs use'

/**
 * Makes sure that the role is there, as it should be, and returns how to connect as it. A test may have changed its password
 * or its settings; both are put back, or all later runs on the server would pay for it.
 * An admin that is no superuser can not hand objects to another role everywhere, so there it is the role itself.
 */
export async function ensureRole(session: Session, wantSuperuser: boolean): Promise<Role> {
  const { user, password } = session.target
  const { rows } = await session.query<{ superuser: boolean }>(
    "select current_setting('is_superuser') = 'on' as superuser",
  )
  const adminIsSuperuser = rows[0]?.superuser === true
  if (wantSuperuser || !adminIsSuperuser) return { user, password, superuser: adminIsSuperuser }
  const { name, state } = await chooseName(session)
  const role = { user: name, password: derivedPassword(password), superuser: false }
  if (!(await isAsWanted(session, role, state))) await createOnce(session, role)
  return role
}

/** Tests connect to databases of their own: on a server that is ours they have no business in the registry's. */
export async function keepOutOfRegistry(session: Session, role: Role): Promise<void> {
  const { database } = session.target
  const { rows } = await session.query<{ open: boolean }>(
    `select has_database_privilege($1, $2, 'connect') as open from pg_roles where rolname = $1 and not rolsuper`,
    [role.user, database],
  )
  if (rows[0]?.open) await session.query(`revoke connect on database ${ident(database)} from public`)
}

async function chooseName(session: Session): Promise<{ readonly name: string; readonly state: RoleState | undefined }> {
  for (const name of NAMES) {
    const state = await look(session, name)
    if (name !== session.target.user && (state === undefined || state.ours)) return { name, state }
  }
  const what = `the roles ${NAMES.join(' and ')} belong to somebody else on this server, and testdb does not take them over`
  throw new TestDbError('TESTDB_SERVER_UNSUPPORTED', what, {
    fixes: [
      'Rename or drop one of these roles.',
      'Or set `role: { superuser: true }` in testdb.config.ts, to migrate and test as the role of the URL.',
      'Run `npx testdb doctor` to see which server is used.',
    ],
  })
}

/** Roles belong to the whole server, but the lock below only to one database of it: another registry may be faster. */
async function createOnce(session: Session, role: Role): Promise<void> {
  try {
    await create(session, role)
  } catch (error) {
    if (!isSqlState(error, 'duplicateObject', 'uniqueViolation', 'internalError')) throw error
    if (!(await isAsWanted(session, role, await look(session, role.user)))) await create(session, role)
  }
}

/**
 * Every process with the same admin credentials must come to the same password without a place to keep it, also on
 * different machines that share one server; so it is derived from the admin's.
 */
function derivedPassword(adminPassword: string | undefined): string {
  return createHmac('sha256', adminPassword ?? '')
    .update('testdb role')
    .digest('hex')
    .slice(0, 32)
}

interface RoleState {
  readonly ours: boolean
  /** No right too many, no setting of its own, may log in. */
  readonly plain: boolean
  /** What the server keeps of its password. */
  readonly verifier: string | null
}

async function look(session: Session, name: string): Promise<RoleState | undefined> {
  const { rows } = await session.query<RoleState>(
    `select coalesce(shobj_description(oid, 'pg_authid') = $2, false) as ours,
            rolcanlogin and rolinherit and rolconnlimit = -1 and coalesce(rolvaliduntil = 'infinity', true)
              and not (rolsuper or rolcreatedb or rolcreaterole or rolreplication or rolbypassrls)
              and not exists (select from pg_db_role_setting where setrole = r.oid and setdatabase = 0) as plain,
            rolpassword as verifier
       from pg_authid r where rolname = $1`,
    [name, MARK],
  )
  return rows[0]
}

async function isAsWanted(session: Session, role: Role, state: RoleState | undefined): Promise<boolean> {
  if (state?.ours !== true || !state.plain) return false
  return (await isPassword(state.verifier, role.user, role.password ?? '')) || (await canLogIn(session, role))
}

/**
 * Where nobody is asked for a password it need not be the same for all, and to change it would lock others out who are asked.
 * Being refused the database comes after the question for the password.
 */
async function canLogIn(session: Session, { user, password }: Role): Promise<boolean> {
  try {
    const target = { ...session.target, user, password }
    await withSession(target, { applicationName: 'testdb coordination' }, async () => undefined)
    return true
  } catch (error) {
    return !isSqlState(error, 'invalidPassword', 'invalidAuthorization')
  }
}

async function create(session: Session, role: Role): Promise<void> {
  const name = ident(role.user)
  await session.transaction(async () => {
    await session.query('select pg_advisory_xact_lock($1, 2)', [LOCK_SPACE.setup])
    const state = await look(session, role.user)
    if (state === undefined) {
      await session.query(`create role ${name}`)
      await session.query(`comment on role ${name} is ${literal(MARK)}`)
    } else if (!state.ours) {
      throw new TestDbError('TESTDB_SERVER_UNSUPPORTED', `the role ${role.user} was made by somebody else just now`)
    }
    await session.query(
      `alter role ${name} login inherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls connection limit -1 valid until 'infinity' password ${literal(role.password ?? '')}`,
    )
    await session.query(`alter role ${name} reset all`)
  })
}
