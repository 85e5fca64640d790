/** The ways to put one schema of a database back: those of a whole database that need neither a superuser nor a clone. */
import { COMMON_SCHEMA, type Session } from '../../postgres/index.ts'
import { catalogFunction } from '../reset/catalog.ts'
import { noReset } from '../reset/none.ts'
import { oneSchema } from '../reset/reach.ts'
import type { InstallOptions, ResetName, ResetStrategy } from '../reset/strategy.ts'
import { truncateIn } from '../reset/truncate.ts'

export function strategyIn(schema: string, reset: ResetName): ResetStrategy {
  if (reset === 'none') return noReset
  const truncate = truncateIn(oneSchema(schema))
  return reset === 'rollback' ? { ...truncate, name: 'rollback' } : truncate
}

const sqlOf = (schema: string, reset: ResetName): string => {
  const reach = oneSchema(schema)
  // What crash recovery of the server empties together with the users' unlogged tables.
  const uncrashed = `create unlogged table ${reach.home}.uncrashed (here bool); insert into ${reach.home}.uncrashed values (true);`
  const catalog = `${uncrashed} create table ${reach.home}.catalog (content text not null);\n${catalogFunction(reach)}`
  return strategyIn(schema, reset).sql + catalog
}

/** Fills the companion of a migrated schema. */
export async function installSchemaReset(
  session: Session,
  schema: string,
  reset: ResetName,
  options: InstallOptions,
): Promise<void> {
  const { home } = oneSchema(schema)
  await session.batch(sqlOf(schema, reset))
  await strategyIn(schema, reset).install?.(session, options)
  await session.query(`insert into ${home}.catalog select ${home}.read_catalog()`)
}

/** Tells whether nothing has been defined, changed or dropped in the schema since it was migrated. */
export async function isUnchanged(session: Session, schema: string): Promise<boolean> {
  const { home } = oneSchema(schema)
  try {
    const { rows } = await session.query<{ same: boolean }>(
      `select content = ${home}.read_catalog() as same from ${home}.catalog`,
    )
    return rows[0]?.same === true
  } catch (error) {
    if (session.ended) throw error
    // A test has dropped what is ours.
    return false
  }
}

/** Makes the session work in the schema, as its users do, and tells whether the server went through crash recovery since it was last asked. */
export async function enterSchema(session: Session, schema: string): Promise<{ readonly crashed: boolean }> {
  const { home } = oneSchema(schema)
  const [, mark] = await session.batch(
    `select set_config('search_path', '${schema}, ${COMMON_SCHEMA}', false);
     insert into ${home}.uncrashed select true where not exists (select from ${home}.uncrashed)`,
  )
  return { crashed: mark?.rowCount === 1 }
}

/** Goes into the hash of what is migrated: another version of testdb may install something else. */
export const installedInSchema = (reset: ResetName): string => `schema:${sqlOf('testdb_x_1', reset)}`
