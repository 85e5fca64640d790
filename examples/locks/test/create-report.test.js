import { afterAll, beforeAll, expect, test } from 'vitest'
import { createReport, createReportCarelessly } from '../src/reports.js'
import { createServices } from '../src/services.js'

let services
beforeAll(() => {
  services = createServices()
})
afterAll(() => services.close())

const count = async () => Number((await services.pool.query('select count(*) from reports')).rows[0].count)

test('50 requests at once make exactly one report, and all get it', async () => {
  const answers = await Promise.all(Array.from({ length: 50 }, () => createReport(services, 'acme', '2026-11')))
  expect(await count()).toBe(1)
  expect(answers.filter(({ status }) => status === 201)).toHaveLength(1)
  expect(new Set(answers.map(({ id }) => id)).size).toBe(1)
})

test('without the lock they make several', async () => {
  await Promise.all(Array.from({ length: 50 }, () => createReportCarelessly(services, 'acme', '2026-11')))
  expect(await count()).toBeGreaterThan(1)
})

test('other tenants do not wait for each other', async () => {
  const tenants = Array.from({ length: 20 }, (_, i) => `tenant ${i}`)
  const answers = await Promise.all(tenants.map((tenant) => createReport(services, tenant, '2026-11')))
  expect(answers.map(({ status }) => status)).toEqual(tenants.map(() => 201))
})
