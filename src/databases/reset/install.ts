/** What a migrated database gets before it is sealed, so that its clones can be leased and put back. */
import type { Session } from '../../postgres/index.ts'
import { installCatalog } from './catalog.ts'
import { installLease, LEASE } from './lease-sql.ts'
import type { InstallOptions, ResetStrategy } from './strategy.ts'

export async function installReset(session: Session, strategy: ResetStrategy, options: InstallOptions): Promise<void> {
  await installLease(session)
  if (strategy.sql !== '') await session.query(strategy.sql)
  await strategy.install?.(session, options)
  await installCatalog(session)
}

/** Goes into the template's hash: another version of testdb may install something else. */
export const installedBy = (strategy: ResetStrategy): string => LEASE + strategy.sql
