/** Every number of the pictures, as tables. On a narrow screen a row becomes a block, and each cell says what it is. */
import { plural } from '../format.ts'
import type { RunReport } from '../run-report.ts'
import { ms } from '../summary.ts'
import { html, type Markup } from './markup.ts'

type Cell = string | number | Markup | null
interface Table {
  readonly id: string
  readonly title: string
  readonly columns: readonly string[]
  readonly rows: readonly (readonly Cell[])[]
  /** Columns that hold numbers. */
  readonly numbers?: readonly number[]
  /** Folded away until somebody asks. */
  readonly folded?: boolean
}

export function drawTables(report: RunReport): Markup[] {
  const tables = [
    findings(report),
    waits(report),
    slowest(report),
    counted(report),
    workers(report),
    resets(report),
    migrations(report),
    files(report),
    databases(report),
    notices(report),
  ]
  return tables.filter(({ rows }) => rows.length > 0).map(draw)
}

function draw({ id, title, columns, rows, numbers = [], folded = false }: Table): Markup {
  const kind = (i: number): string => (numbers.includes(i) ? 'number' : '')
  const body = html`<table><thead><tr>${columns.map((name, i) => html`<th scope="col" class="${kind(i)}">${name}</th>`)}</tr></thead>
<tbody>${rows.map(
    (
      row,
    ) => html`<tr>${row.map((cell, i) => html`<td class="${kind(i)}" data-label="${columns[i]}">${cell ?? '–'}</td>`)}</tr>
`,
  )}</tbody></table>`
  if (!folded)
    return html`<section id="${id}"><h2>${title}</h2>${body}</section>
`
  return html`<section id="${id}"><details><summary><h2>${title}</h2></summary>${body}</details></section>
`
}

const code = (text: string): Markup => html`<code>${text}</code>`
const badge = (severity: string, text = severity): Markup => html`<span class="badge ${severity}">${text}</span>`

function findings({ findings }: RunReport): Table {
  const rows = findings.map(({ level, guard, test, file, message, atMs }) => [
    badge(level === 'error' ? 'critical' : 'warning', level),
    code(guard),
    html`${test ?? 'the file as a whole'}${file !== null && html`<br><small>${file}</small>`}`,
    html`<span class="text">${message}</span>`,
    ms(atMs),
  ])
  return {
    id: 'findings',
    title: `Findings (${findings.length})`,
    columns: ['level', 'guard', 'test', 'what', 'at'],
    rows,
    numbers: [4],
  }
}

function waits({ waits }: RunReport): Table {
  const rows = waits.map(({ kind, what, holders, waitedMs, failed, severity, startMs }) => [
    failed ? badge('critical', 'in vain') : severity === 'ok' ? 'over' : badge(severity),
    kind === 'leader' ? `another process that builds ${what}` : what,
    html`<span class="text">${holders.join('\n')}</span>`,
    ms(startMs),
    ms(waitedMs),
  ])
  return {
    id: 'waits',
    title: `Waits (${waits.length})`,
    columns: ['', 'for', 'held by', 'from', 'for how long'],
    rows,
    numbers: [3, 4],
  }
}

function slowest({ slowQueries }: RunReport): Table {
  const rows = slowQueries.map(({ query, durationMs, file, worker, database, waitsFor, severity }) => [
    severity === 'ok' ? ms(durationMs) : html`${ms(durationMs)} ${badge(severity)}`,
    query === '' ? html`<em>a statement that mentions a password</em>` : code(query),
    html`${file ?? worker ?? 'building the template'}<br><small>${database}</small>`,
    waitsFor === null ? null : waitsFor === 'Lock' ? badge('warning', 'a lock') : waitsFor,
  ])
  return {
    id: 'statements',
    title: 'Slowest statements',
    columns: ['seen for', 'statement', 'where', 'waiting for'],
    rows,
    numbers: [0],
  }
}

function counted({ statements }: RunReport): Table {
  const rows = statements.map(({ query, calls, totalMs, meanMs, maxMs }) => [
    query === '' ? html`<em>a statement that mentions a password</em>` : code(query),
    calls,
    ms(meanMs),
    ms(maxMs),
    ms(totalMs),
  ])
  return {
    id: 'counted',
    title: 'Statements that the server has counted',
    columns: ['statement', 'calls', 'mean', 'longest', 'in all'],
    rows,
    numbers: [1, 2, 3, 4],
  }
}

function workers({ workers, pool }: RunReport): Table {
  const rows = workers.map(({ name, files, peak, limit, poolPeak, databases, severity }) => {
    const busy = files.reduce((sum, { startMs, endMs }) => sum + ((endMs ?? startMs) - startMs), 0)
    const share =
      limit === null
        ? null
        : html`<svg class="meter ${severity}" width="60" height="8" aria-hidden="true"><rect width="100%" height="8"/><rect class="used" width="${Math.min(100, Math.round((peak / limit) * 100))}%" height="8"/></svg> `
    const pools = poolPeak === null ? null : pool.max === null ? poolPeak : `${poolPeak} of ${pool.max}`
    return [
      name,
      files.length,
      ms(busy),
      html`${share}${peak}${limit !== null && ` of ${limit}`} ${severity !== 'ok' && badge(severity)}`,
      pools,
      html`<small>${databases.join(', ')}</small>`,
    ]
  })
  return {
    id: 'workers',
    title: `Workers (${workers.length})`,
    columns: ['worker', 'files', 'busy', 'peak connections', 'in one pool', 'databases'],
    rows,
    numbers: [1, 2, 3, 4],
  }
}

function resets({ resets }: RunReport): Table {
  const rows = Object.entries(resets.byStrategy).map(([name, { count, medianMs, p95Ms, maxMs, totalMs }]) => {
    return [code(name), count, ms(medianMs), ms(p95Ms), ms(maxMs), ms(totalMs)]
  })
  return {
    id: 'resets',
    title: 'Resets between tests',
    columns: ['strategy', 'count', 'median', 'p95', 'longest', 'in all'],
    rows,
    numbers: [1, 2, 3, 4, 5],
  }
}

function migrations({ migrations, templates }: RunReport): Table {
  const took = ({ startMs, endMs }: (typeof migrations)[number]): number =>
    endMs === null ? Infinity : endMs - startMs
  const rows = [...migrations]
    .sort((a, b) => took(b) - took(a))
    .map(({ name, index, total, endMs, startMs }) => [
      code(name),
      `${index} of ${total}`,
      endMs === null ? badge('critical', 'never ended') : ms(endMs - startMs),
    ])
  const built = templates.find(({ how }) => how !== 'reused')
  const all = built && built.endMs !== null ? `, ${ms(built.endMs - built.startMs)} with everything` : ''
  return {
    id: 'migrations',
    title: `Migrations (${migrations.length}${all})`,
    columns: ['migration', 'place', 'took'],
    rows,
    numbers: [1, 2],
    folded: migrations.length > 12,
  }
}

function files({ workers }: RunReport): Table {
  const all = workers.flatMap(({ name, files }) =>
    files.map((file) => ({ ...file, worker: name, took: (file.endMs ?? file.startMs) - file.startMs })),
  )
  const rows = all
    .sort((a, b) => b.took - a.took)
    .map(({ file, worker, startMs, took, finished }) => [
      file,
      worker,
      ms(startMs),
      finished ? ms(took) : html`${ms(took)} ${badge('warning', 'no end')}`,
    ])
  return {
    id: 'files',
    title: `Files (${all.length}), the slowest first`,
    columns: ['file', 'worker', 'from', 'took'],
    rows,
    numbers: [2, 3],
    folded: all.length > 12,
  }
}

function databases({ databases }: RunReport): Table {
  const rows = databases.map(({ name, process, created, durationMs, atMs }) => [
    code(name),
    process,
    created ? 'cloned' : 'taken again',
    ms(durationMs),
    ms(atMs),
  ])
  return {
    id: 'databases',
    title: `Databases (${plural(rows.length, 'lease')})`,
    columns: ['database', 'worker', 'how', 'took', 'at'],
    rows,
    numbers: [3, 4],
    folded: true,
  }
}

function notices({ warnings, healed, recovered }: RunReport): Table {
  const rows = [
    ...healed.map(({ atMs, table, database, found }) => [
      badge('warning', 'healed'),
      `the stuck lock ${table} in ${database} (${found})`,
      1,
      ms(atMs),
    ]),
    ...recovered.map(({ atMs, what, cause, downMs }) => [
      badge('warning', 'recovered'),
      `${what}, after ${ms(downMs)}: ${cause}`,
      1,
      ms(atMs),
    ]),
    ...warnings.map(({ atMs, message, count }) => [
      'warning',
      html`<span class="text">${message}</span>`,
      count,
      ms(atMs),
    ]),
  ]
  return {
    id: 'notices',
    title: `Notices (${rows.length})`,
    columns: ['', 'what', 'times', 'first at'],
    rows,
    numbers: [2, 3],
  }
}
