/** Whether a server is still needed: who only watches does not count. */
import { expect, test } from 'vitest'
import { withSession } from '../../src/postgres/index.ts'
import { Activity, WATCHER } from '../../src/server/owned/activity.ts'
import { startPrivatePostgres } from '../helpers/private-postgres.ts'
import { eventually } from '../helpers/wait.ts'

test('a session of `testdb status --watch` does not keep a server up', async () => {
  const { admin, stop } = await startPrivatePostgres()
  await withSession(admin, { applicationName: 'supervisor' }, async (session) => {
    const needed = () => new Activity(1).isNeeded(session, '/nowhere')
    await withSession(admin, { applicationName: WATCHER }, async () => {
      // The session that has waited for the server may still be leaving.
      await eventually('nobody needs it', async () => !(await needed()))
      await withSession(admin, { applicationName: 'a test' }, async () => {
        expect(await needed()).toBe(true)
        // Without any idle time, too, nobody's run is cut off.
        expect(await new Activity(0).isNeeded(session, '/nowhere')).toBe(true)
      })
    })
  })
  await stop()
})
