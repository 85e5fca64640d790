import { beforeEach, describe, expect, test } from 'vitest'
import { useApp } from '../helpers/app.js'
import { addUser, createAssumption, createScenario, signUp } from '../helpers/factories.js'

const ctx = useApp()
let acme

beforeEach(async () => {
  acme = await signUp(ctx)
})

const log = async (query = '') => (await acme.api.get(`/audit${query}`)).body.data

describe('the audit log', () => {
  test('has the rows before and after a change', async () => {
    await createScenario(acme.api)
    await acme.api.patch('/scenarios/1', { version: 1, name: 'New name' })
    const [update, insert] = await log('?table=scenarios')

    expect(insert).toMatchObject({ action: 'insert', row_id: 1, before: null, after: { name: 'Base case' } })
    expect(update).toMatchObject({ action: 'update', before: { name: 'Base case' }, after: { name: 'New name' } })
  })

  test('says who did it', async () => {
    const editor = await addUser(ctx, acme, 'editor')
    await createScenario(editor.api)
    await acme.api.delete('/scenarios/1')
    const entries = await log('?table=scenarios')

    expect(entries.map(({ action, user_id }) => [action, user_id])).toEqual([
      ['delete', acme.user.id],
      ['insert', editor.user.id],
    ])
  })

  test('says nobody for changes outside the API', async () => {
    await createScenario(acme.api)
    await ctx.db('scenarios').update({ description: 'by hand' })

    expect((await log('?table=scenarios'))[0]).toMatchObject({ action: 'update', user_id: null })
  })

  test('does not mix up users that share a connection of the pool', async () => {
    const editor = await addUser(ctx, acme, 'editor')
    await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        createScenario(index % 2 ? acme.api : editor.api, { name: `${index % 2 ? 'owner' : 'editor'} ${index}` }),
      ),
    )
    for (const { user_id, after } of await log('?table=scenarios')) {
      expect(user_id).toBe(after.name.startsWith('owner') ? acme.user.id : editor.user.id)
    }
  })

  test('has the rows that a cascade deletes', async () => {
    await createScenario(acme.api)
    await createAssumption(acme.api, 1)
    await createAssumption(acme.api, 1)
    await acme.api.delete('/scenarios/1')

    const deleted = (await log()).filter(({ action }) => action === 'delete')
    expect(deleted.map(({ table_name, row_id }) => `${table_name} ${row_id}`).sort()).toEqual([
      'assumptions 1',
      'assumptions 2',
      'scenarios 1',
    ])
  })

  test('does not have what was rolled back', async () => {
    await createScenario(acme.api)
    await acme.api.patch('/scenarios/1', { version: 1, months: 0 })

    expect((await log('?table=scenarios')).map(({ action }) => action)).toEqual(['insert'])
  })

  test('can be read row by row and page by page', async () => {
    for (const name of ['a', 'b']) await createScenario(acme.api, { name })
    await acme.api.post('/scenarios/2/archive')

    expect((await log('?table=scenarios&row_id=2')).map(({ action }) => action)).toEqual(['update', 'insert'])
    expect(await log('?limit=1')).toHaveLength(1)
  })

  test('is for owners', async () => {
    const editor = await addUser(ctx, acme, 'editor')
    expect((await editor.api.get('/audit')).status).toBe(403)
  })
})
