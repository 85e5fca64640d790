import { afterAll, beforeAll, expect, test } from 'vitest'
import { search } from '../src/search.js'
import { createServices } from '../src/services.js'

let services
beforeAll(() => {
  services = createServices({ perTenant: 2, maxWaiting: 3 })
})
afterAll(() => services.close())

test('a greedy tenant gets 429, the others get their answers', async () => {
  const greedy = Array.from({ length: 10 }, () => search(services, 'greedy'))
  expect([services.limit.active('greedy'), services.limit.waiting('greedy')]).toEqual([2, 3])
  const modest = await Promise.all([search(services, 'modest'), search(services, 'shy')])
  const statuses = (await Promise.all(greedy)).map(({ status }) => status)

  expect(modest).toEqual([{ status: 200 }, { status: 200 }])
  expect(statuses.filter((status) => status === 200)).toHaveLength(5)
  expect(statuses.filter((status) => status === 429)).toHaveLength(5)
  expect(services.limit.size).toBe(0)
})
