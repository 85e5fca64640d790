/**
 * The report as one file: no script at all, nothing from the network. What tests and servers have named is text in it; the policy in
 * its head would keep a script from running that got in all the same.
 */
import { formatDuration, plural } from '../format.ts'
import type { RunReport } from '../run-report.ts'
import { MARKS, ms } from '../summary.ts'
import { describeEnd } from '../text.ts'
import { drawConnections } from './curve.ts'
import { drawGantt } from './gantt.ts'
import { html, Markup } from './markup.ts'
import { tellStory } from './story.ts'
import { STYLE } from './style.ts'
import { drawTables } from './tables.ts'

/** A whole HTML document. */
export function renderPage(report: RunReport): string {
  const { severity, title, sentences } = tellStory(report)
  const { project, runner, run, startedAt } = report
  const when = `${startedAt.slice(0, 19).replace('T', ' ')} UTC`
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${title} · ${project} · testdb</title><style>${new Markup(STYLE)}</style></head>
<body><main>
<header class="top ${severity}"><p class="where">testdb report · ${project} · ${runner} · ${when} · ${describeEnd(report)} ${formatDuration(report.durationMs)}</p>
<h1>${title}</h1>${sentences.map((sentence) => html`<p class="story">${sentence}</p>`)}</header>
${listProblems(report)}
${tiles(report)}${drawGantt(report)}${drawConnections(report)}${drawTables(report)}
<footer>Run ${run}. The same as text: <code>npx testdb report ${run}</code>, as data: <code>--json</code>. Point at a bar or a mark to read what it is. Statements are seen by looking now and then, so one may have run a little longer, and short ones are missed.</footer>
</main></body></html>
`.text
}

/** More would push the pictures out of sight; all of them are in the tables. */
const MOST_PROBLEMS = 8

function listProblems({ problems }: RunReport): Markup | false {
  if (problems.length === 0) return false
  const left = problems.length - MOST_PROBLEMS
  return html`<ul class="problems" aria-label="Problems, the worst first">${problems.slice(0, MOST_PROBLEMS).map(
    (one) => html`<li class="${one.severity}"><b aria-hidden="true">${MARKS[one.severity]}</b>${one.text}</li>
`,
  )}${left > 0 && html`<li class="warning">and ${left} more, in the tables below</li>`}</ul>`
}

function tiles(report: RunReport): Markup {
  const { durationMs, setUpMs, workers, resets, connections, acquires, findings, clones } = report
  const files = workers.reduce((sum, one) => sum + one.files.length, 0)
  const all: [name: string, value: string | number, note: string][] = [
    ['whole run', formatDuration(durationMs), setUpMs === null ? 'never ready' : `set-up ${ms(setUpMs)}`],
    ['test files', files, `on ${plural(workers.filter((one) => one.files.length > 0).length, 'worker')}`],
    ['findings', findings.length, plural(findings.filter(({ level }) => level === 'error').length, 'error')],
    ['resets', resets.count, resets.count === 0 ? '' : `median ${ms(resets.medianMs)}, p95 ${ms(resets.p95Ms)}`],
    ['clones', clones.count, clones.count === 0 ? '' : `median ${ms(clones.medianMs)}`],
    ['peak connections', connections.peak ?? '–', connections.limit === null ? '' : `of ${connections.limit}`],
    ['longest wait for a pool', ms(acquires.maxMs), `${acquires.count} requests, ${acquires.failed} failed`],
  ]
  return html`<dl class="tiles">${all.map(([name, value, note]) => html`<div><dt>${name}</dt><dd>${value}${note !== '' && html`<small>${note}</small>`}</dd></div>`)}</dl>
`
}
