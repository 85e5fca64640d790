/**
 * The role that owns templates and databases, runs the migrations and is what tests connect as. It is no superuser, so
 * connection limits bind it and a migration that needs more than production grants fails here too.
 */
import { createHash, createHmac } from 'node:crypto'
import { ident, isSqlState, LOCK_SPACE, literal, type Session } from '../postgres/index.ts'

export interface Role {
  readonly user: string
  readonly password: string | undefined
  readonly superuser: boolean
}

const NAME = 'testdb'

/**
 * Makes sure that the role is there and returns how to connect as it.
 * An admin that is no superuser can not hand objects to another role everywhere, so there it is the role itself.
 */
export async function ensureRole(session: Session, wantSuperuser: boolean): Promise<Role> {
  const { user, password } = session.target
  const { rows } = await session.query<{ superuser: boolean }>(
    'select rolsuper as superuser from pg_roles where rolname = current_user',
  )
  const adminIsSuperuser = rows[0]?.superuser === true
  if (wantSuperuser || !adminIsSuperuser) return { user, password, superuser: adminIsSuperuser }
  const role = { user: NAME, password: derivedPassword(password), superuser: false }
  if (!(await isUpToDate(session, role.password))) await createOnce(session, role.password)
  return role
}

/** Roles belong to the whole server, but the lock below only to one database of it: another registry may be faster. */
async function createOnce(session: Session, password: string): Promise<void> {
  try {
    await create(session, password)
  } catch (error) {
    if (!isSqlState(error, 'duplicateObject', 'uniqueViolation', 'internalError')) throw error
    if (!(await isUpToDate(session, password))) await create(session, password)
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

const fingerprint = (password: string): string =>
  `testdb ${createHash('sha256').update(password).digest('hex').slice(0, 16)}`

async function isUpToDate(session: Session, password: string): Promise<boolean> {
  const { rows } = await session.query<{ note: string | null }>(
    `select shobj_description(oid, 'pg_authid') as note from pg_roles where rolname = $1`,
    [NAME],
  )
  return rows[0]?.note === fingerprint(password)
}

async function create(session: Session, password: string): Promise<void> {
  await session.transaction(async () => {
    await session.query('select pg_advisory_xact_lock($1, 2)', [LOCK_SPACE.setup])
    if (await isUpToDate(session, password)) return
    const { rowCount } = await session.query('select from pg_roles where rolname = $1', [NAME])
    const verb = rowCount === 0 ? 'create' : 'alter'
    await session.query(
      `${verb} role ${ident(NAME)} login nosuperuser nocreatedb nocreaterole password ${literal(password)}`,
    )
    await session.query(`comment on role ${ident(NAME)} is ${literal(fingerprint(password))}`)
  })
}
