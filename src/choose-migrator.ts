/** Which migrator a run uses: the one of the configuration, or the one that is found; and it is said. */
import type { ResolvedConfig } from './config/config.ts'
import { publish } from './events.ts'
import { chooseMigrator } from './migrators/detect.ts'
import type { Migrator } from './migrators/migrator.ts'

export async function chooseAndAnnounce(config: ResolvedConfig, announce: boolean): Promise<Migrator> {
  const project = { root: config.root, environment: config.environment }
  if (config.migrator) {
    const migrator = await config.migrator.load(project)
    if (announce) {
      publish('migrator.detected', {
        name: migrator.name,
        summary: migrator.summary,
        reason: 'set in the configuration',
      })
    }
    return migrator
  }
  const { definition, reason } = await chooseMigrator(config.root, config.environment)
  const migrator = await definition.load(project)
  if (announce) publish('migrator.detected', { name: migrator.name, summary: migrator.summary, reason })
  return migrator
}
