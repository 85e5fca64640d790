import { beforeEach, describe, expect, test } from 'vitest'
import { useApp } from '../helpers/app.js'
import { signUp } from '../helpers/factories.js'

const ctx = useApp()
let acme

beforeEach(async () => {
  acme = await signUp(ctx)
  await acme.scope.insert(
    'users',
    Array.from({ length: 24 }, (_, index) => ({
      name: `Person ${index + 1}`,
      email: `person${index + 1}@acme.example`,
      role: index % 4 === 0 ? 'editor' : 'viewer',
    })),
  )
})

async function pages(url) {
  const all = []
  let cursor = null
  do {
    const { status, body } = await acme.api.get(cursor ? `${url}&cursor=${cursor}` : url)
    expect(status).toBe(200)
    all.push(body.data)
    cursor = body.next_cursor
  } while (cursor)
  return all
}

describe('pagination', () => {
  test('has 20 on a page unless asked', async () => {
    const { body } = await acme.api.get('/users')

    expect(body.data).toHaveLength(20)
    expect(body.next_cursor).toEqual(expect.any(String))
  })

  test('shows everybody exactly once', async () => {
    const result = await pages('/users?limit=10')

    expect(result.map((page) => page.length)).toEqual([10, 10, 5])
    expect(result.flat().map(({ id }) => id)).toEqual(Array.from({ length: 25 }, (_, index) => index + 1))
  })

  test('has no cursor when the last page is just full', async () => {
    expect((await pages('/users?limit=5')).map((page) => page.length)).toEqual([5, 5, 5, 5, 5])
  })

  test('works on a filtered list', async () => {
    const result = await pages('/users?limit=4&role=editor')

    expect(result.map((page) => page.length)).toEqual([4, 2])
    expect(result.flat().every(({ role }) => role === 'editor')).toBe(true)
  })

  test('neither repeats nor skips when rows go and come meanwhile', async () => {
    const first = await acme.api.get('/users?limit=10')
    await acme.api.delete('/users/5')
    await acme.scope.insert('users', { name: 'Late', email: 'late@acme.example' })
    const second = await acme.api.get(`/users?limit=100&cursor=${first.body.next_cursor}`)

    expect(second.body.data.map(({ id }) => id)).toEqual(Array.from({ length: 16 }, (_, index) => index + 11))
  })

  test('refuses limits and filters that make no sense', async () => {
    for (const query of ['limit=0', 'limit=101', 'limit=many', 'role=king']) {
      expect((await acme.api.get(`/users?${query}`)).status, query).toBe(400)
    }
  })

  test('refuses a cursor that is not its own', async () => {
    const { status, body } = await acme.api.get("/users?cursor=1'%20or%201=1")

    expect(status).toBe(400)
    expect(body.error.code).toBe('invalid_cursor')
  })
})
