import { beforeEach, describe, expect, test } from 'vitest'
import { useApp } from '../helpers/app.js'
import { createScenario, signUp } from '../helpers/factories.js'

const ctx = useApp()
let acme

beforeEach(async () => {
  acme = await signUp(ctx)
  for (const name of ['Base', 'Best', 'Worst', 'Old']) await createScenario(acme.api, { name })
  await acme.api.patch('/scenarios/2', { version: 1, status: 'active' })
  await acme.api.post('/scenarios/4/archive')
})

const names = async (query = '') => (await acme.api.get(`/scenarios${query}`)).body.data.map(({ name }) => name)

describe('GET /scenarios', () => {
  test('leaves archived ones out', async () => {
    expect(await names()).toEqual(['Base', 'Best', 'Worst'])
  })

  test.each([
    ['draft', ['Base', 'Worst']],
    ['active', ['Best']],
    ['archived', ['Old']],
  ])('filters by status %s', async (status, expected) => {
    expect(await names(`?status=${status}`)).toEqual(expected)
  })

  test('pages through the filtered list', async () => {
    const first = await acme.api.get('/scenarios?status=draft&limit=1')
    const second = await acme.api.get(`/scenarios?status=draft&limit=1&cursor=${first.body.next_cursor}`)

    expect(first.body.data[0].name).toBe('Base')
    expect(second.body).toMatchObject({ data: [{ name: 'Worst' }], next_cursor: null })
  })
})

describe('GET /scenarios?search', () => {
  const found = (text) => names(`?search=${encodeURIComponent(text)}`)

  beforeEach(async () => {
    await createScenario(acme.api, { name: 'Hiring plan', description: 'ten engineers until summer' })
    await createScenario(acme.api, { name: 'Hiring freeze', description: 'nobody new' })
    await createScenario(acme.api, { name: 'New market', description: 'opening shops in Japan' })
  })

  test('finds words of name and description in any form', async () => {
    expect(await found('hire or hiring')).toEqual(['Hiring plan', 'Hiring freeze'])
    expect(await found('engineer')).toEqual(['Hiring plan'])
    expect(await found('hiring -freeze')).toEqual(['Hiring plan'])
    expect(await found('bankruptcy')).toEqual([])
  })

  test('is safe against strange input', async () => {
    for (const text of ["'); drop table scenarios; --", '& | !', '((', '%']) expect(await found(text)).toEqual([])
    expect(await found('hiring')).toHaveLength(2)
  })

  test('follows a change, because the column is generated', async () => {
    await acme.api.patch('/scenarios/7', { version: 1, description: 'opening shops in Brazil' })

    expect(await found('japan')).toEqual([])
    expect(await found('brazil')).toEqual(['New market'])
  })

  test('does not look into other tenants', async () => {
    const globex = await signUp(ctx, { slug: 'globex' })
    await createScenario(globex.api, { name: 'Hiring spree' })

    expect(await found('hiring')).toEqual(['Hiring plan', 'Hiring freeze'])
  })
})
