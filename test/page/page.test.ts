/**
 * The page in a real browser, of runs that nobody has time to run: 400 files, one, none. The screenshots are left in a temporary
 * folder for people. Chromium is not installed for it: `apt-get install chromium`, or name one in CHROMIUM.
 */
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Browser } from 'puppeteer-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { renderPage } from '../../src/report/html/page.ts'
import { failedStart, NASTY, run } from './runs.ts'

const chromium = [
  process.env.CHROMIUM ?? '',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
].find((file) => file !== '' && existsSync(file))
if (chromium === undefined) {
  console.warn(
    'SKIPPED: nobody looks at the page of `testdb report --html`, because there is no Chromium here (npm run test:page)',
  )
}

const PAGES = {
  'all-is-well': () => run({ files: 40, workers: 4, problems: false }),
  'one-file': () => run({ files: 1, workers: 1, problems: true }),
  '400-files': () => run({ files: 400, workers: 16, problems: true }),
  'failed-start': failedStart,
} as const

describe.skipIf(chromium === undefined)('in Chromium', () => {
  let browser: Browser
  let folder: string
  beforeAll(async () => {
    const { launch } = await import('puppeteer-core')
    // As root there is no sandbox; the page is our own.
    browser = await launch({ executablePath: chromium ?? '', args: ['--no-sandbox'] })
    folder = mkdtempSync(path.join(tmpdir(), 'testdb-page-'))
    console.info(`screenshots are in ${folder}`)
  })
  afterAll(async () => await browser?.close())

  test.each(Object.keys(PAGES) as (keyof typeof PAGES)[])('%s', async (name) => {
    const file = path.join(folder, `${name}.html`)
    writeFileSync(file, renderPage(PAGES[name]()))
    for (const [width, scheme] of [
      [1200, 'light'],
      [400, 'light'],
      [1200, 'dark'],
    ] as const) {
      const page = await browser.newPage()
      const said: string[] = []
      page.on('console', (message) => said.push(message.text()))
      page.on('pageerror', (error) => said.push(String(error)))
      page.on('dialog', (dialog) => {
        said.push(dialog.message())
        void dialog.dismiss()
      })
      page.on('request', (request) => {
        if (!request.url().startsWith('file:')) said.push(request.url())
      })
      await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }])
      await page.setViewport({ width, height: 900 })
      await page.goto(`file://${file}`)
      // As text, because the functions of a test file do not exist in the page.
      const seen = (await page.evaluate(LOOK)) as Seen
      expect(said).toEqual([])
      expect(seen.overflow).toEqual([])
      expect(seen.foreign).toEqual([])
      expect(seen.unnamed).toBe(0)
      expect(seen.invisible).toBe(0)
      if (name === 'failed-start') expect(seen.heading).toBe('The run did not start')
      else expect(seen.bars).toBeGreaterThan({ 'all-is-well': 100, 'one-file': 10, '400-files': 450 }[name])
      if (name === '400-files') {
        expect(seen.text).toContain(NASTY)
        expect(seen.marks).toBeGreaterThan(5)
      }
      expect(seen.curveHeight).toBeGreaterThan(20)
      await page.screenshot({ path: path.join(folder, `${name}-${width}-${scheme}.png`), fullPage: true })
      await page.close()
    }
  })
})

interface Seen {
  readonly heading: string
  readonly text: string
  readonly overflow: string[]
  readonly foreign: string[]
  readonly unnamed: number
  readonly invisible: number
  readonly bars: number
  readonly marks: number
  readonly curveHeight: number
}

const LOOK = `(() => {
  const all = (selector) => [...document.querySelectorAll(selector)]
  const width = document.documentElement.clientWidth
  const outside = all('main *').filter((one) => !one.closest('svg') && one.getBoundingClientRect().right > width + 1)
  return {
    heading: document.querySelector('h1').textContent,
    text: document.body.innerText,
    overflow: [...outside.map((one) => one.outerHTML.slice(0, 100)), ...(document.documentElement.scrollWidth > width ? ['the page'] : [])],
    foreign: all('script, img, iframe, link, object').map((one) => one.outerHTML),
    unnamed: all('[role=img]').filter((one) => (one.getAttribute('aria-label') ?? '').length < 20).length,
    invisible: all('.bar').filter((one) => { const { width, height } = one.querySelector('rect').getBoundingClientRect(); return width < 0.5 || height < 3 }).length,
    bars: all('.bar').length,
    marks: all('.mark').length,
    curveHeight: document.querySelector('.curve path.total')?.getBoundingClientRect().height ?? 0,
  }
})()`
