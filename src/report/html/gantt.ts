/** The picture of a run: server, waits, migrations, databases, and the files of each worker, on one axis of time. */
import { plural } from '../format.ts'
import type { RunReport } from '../run-report.ts'
import { ms } from '../summary.ts'
import { describeWait } from '../text.ts'
import { type Bar, drawAxis, drawLane, type Lane, type Mark, timeScale } from './lane.ts'
import { html, type Markup } from './markup.ts'

export function drawGantt(report: RunReport): Markup {
  const x = timeScale(report.durationMs)
  const lanes = [...lanesOfStart(report), ...report.workers.map((worker) => laneOfWorker(worker, report))]
  return html`<figure class="gantt" id="timeline"><figcaption>What happened when <small>${legend(report)}</small></figcaption>
<div role="img" aria-label="${describe(report)}">${drawAxis(x)}${lanes.map((lane) => drawLane(lane, x))}</div></figure>
`
}

function lanesOfStart(report: RunReport): Lane[] {
  const { server, templates, databases, waits, durationMs, failure, findings } = report
  const lanes: Lane[] = []
  if (server) {
    const up = { startMs: 0, endMs: durationMs, kind: 'up', title: server.summary, label: server.summary }
    const start = {
      startMs: 0,
      endMs: server.startMs,
      kind: 'start',
      title: `${server.summary} started in ${ms(server.startMs)}`,
      label: 'start',
    }
    const bars: Bar[] = server.attached ? [up] : [{ ...up, startMs: server.startMs }, start]
    lanes.push({ name: 'server', note: server.attached ? 'was running' : `started in ${ms(server.startMs)}`, bars })
  }
  if (waits.length > 0) {
    const bars = waits.map((wait): Bar => {
      const kind = wait.failed || wait.severity === 'critical' ? 'wait critical' : 'wait'
      return {
        startMs: wait.startMs,
        endMs: wait.endMs ?? durationMs,
        kind,
        title: `waited ${describeWait(wait)}`,
        label: `waiting: ${describeWait(wait)}`,
      }
    })
    lanes.push({ name: 'waits', bars, marks: failure ? [failedAt(failure)] : [] })
  }
  const migrations = report.migrations.map(({ name, index, total, startMs, endMs }, i): Bar => {
    const title = `migration ${index} of ${total}, ${name}: ${endMs === null ? 'never ended' : ms(endMs - startMs)}`
    return {
      startMs,
      endMs: endMs ?? durationMs,
      kind: endMs === null ? 'migration critical' : `migration ${i % 2 ? 'odd' : ''}`,
      title,
      label: name,
    }
  })
  const built = templates.map(({ name, how, startMs, endMs }): Bar => {
    const end = endMs ?? durationMs
    return {
      startMs,
      endMs: end,
      kind: `template ${how}`,
      title: `template ${name} ${how} in ${ms(end - startMs)}`,
      label: how === 'reused' ? 'reused' : '',
    }
  })
  const marks = failure && waits.length === 0 ? [failedAt(failure)] : []
  if (built.length + migrations.length + marks.length > 0) {
    const how = templates.some((one) => one.how === 'failed')
      ? 'failed'
      : templates.some((one) => one.how === 'built')
        ? 'built'
        : 'reused'
    lanes.push({ name: 'template', note: templates.length === 0 ? '' : how, bars: [...built, ...migrations], marks })
  }
  if (databases.length > 0) {
    const bars = databases.map(({ name, process, atMs, created, durationMs: took }): Bar => {
      const title = `${name} ${created ? 'cloned' : 'taken again'} for ${process} in ${ms(took)}`
      return { startMs: Math.max(0, atMs - took), endMs: atMs, kind: created ? 'clone' : 'lease', title }
    })
    const clones = databases.filter(({ created }) => created).length
    lanes.push({ name: 'databases', note: plural(clones, 'clone'), bars })
  }
  const orphans = findings.filter(({ worker }) => !report.workers.some(({ name }) => name === worker))
  if (orphans.length > 0) lanes.push({ name: 'findings', bars: [], marks: orphans.map(markOf) })
  return lanes
}

const failedAt = ({ atMs, code, message }: NonNullable<RunReport['failure']>): Mark => ({
  atMs,
  severity: 'critical',
  title: `${code ?? 'error'}: ${message}`,
})

const markOf = ({ atMs, level, guard, test, message }: RunReport['findings'][number]): Mark => ({
  atMs,
  severity: level === 'error' ? 'critical' : 'warning',
  title: `${guard}${test === null ? '' : ` after "${test}"`}: ${message}`,
})

function laneOfWorker({ name, files }: RunReport['workers'][number], report: RunReport): Lane {
  const { durationMs, findings, slowQueries } = report
  const bars = files.map(({ file, startMs, endMs, finished }, i): Bar => {
    const end = endMs ?? durationMs
    const how = finished ? '' : endMs === null ? ', under way' : ', did not come to its end'
    return {
      startMs,
      endMs: end,
      kind: finished ? `file ${i % 2 ? 'odd' : ''}` : 'file unfinished',
      title: `${file}: ${ms(end - startMs)}${how}`,
      label: file.replace(/^.*[\\/]/, ''),
    }
  })
  const slow = slowQueries
    .filter(({ worker, severity }) => worker === name && severity !== 'ok')
    .map(({ startMs, durationMs: took, query }): Bar => {
      return { startMs, endMs: startMs + took, kind: 'slow', title: `a statement of ${ms(took)}: ${query}` }
    })
  const marks = findings.filter(({ worker }) => worker === name).map(markOf)
  return { name, note: plural(files.length, 'file'), bars, under: slow, marks }
}

function legend({ waits, findings, slowQueries, migrations, workers }: RunReport): Markup[] {
  const entry = (kind: string, text: string): Markup => html`<span class="key"><i class="${kind}"></i>${text}</span> `
  return [
    ...(waits.length > 0 ? [entry('wait', 'a wait')] : []),
    ...(migrations.length > 0 ? [entry('migration', 'a migration')] : []),
    ...(workers.some(({ files }) => files.length > 0) ? [entry('file', 'a test file')] : []),
    ...(slowQueries.some(({ severity }) => severity !== 'ok') ? [entry('slow', 'a slow statement')] : []),
    ...(findings.length > 0
      ? [
          html`<span class="key"><b class="critical">◆</b> error</span> <span class="key"><b class="warning">▲</b> warning</span>`,
        ]
      : []),
  ]
}

/** What the picture says, for those who do not see it; the numbers are in the tables. */
function describe({ durationMs, setUpMs, workers, waits, findings }: RunReport): string {
  const files = workers.reduce((sum, one) => sum + one.files.length, 0)
  const setUp = setUpMs === null ? 'The run never became ready.' : `Ready after ${ms(setUpMs)}.`
  const waited = waits.map((wait) => `Waited ${describeWait(wait)}.`)
  return [
    `Time line of ${ms(durationMs)}.`,
    setUp,
    ...waited,
    `${plural(files, 'file')} on ${plural(workers.length, 'worker')}, ${plural(findings.length, 'finding')}; all of them are in the tables below.`,
  ].join(' ')
}
