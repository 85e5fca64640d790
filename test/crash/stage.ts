/** What a crash test file needs once: a server that nobody else uses, processes to kill, and the content to compare with. */
import type { ConnectionTarget } from '../../src/postgres/index.ts'
import { startPrivatePostgres } from '../helpers/private-postgres.ts'
import type { Content } from './content.ts'
import { Place } from './place.ts'
import type { Stage } from './rows.ts'

export async function prepareStage(): Promise<Stage & AsyncDisposable> {
  const server = await startPrivatePostgres()
  return {
    ...{ server: server.admin, undisturbed: await undisturbed(server.admin) },
    async [Symbol.asyncDispose]() {
      await server.stop()
    },
  }
}

async function undisturbed(server: ConnectionTarget): Promise<Content> {
  await using place = await Place.create(server)
  await using run = await place.run()
  return await place.content(run.context.template?.name ?? '')
}
