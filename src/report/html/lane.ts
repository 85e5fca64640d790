/**
 * Lanes of the picture of a run: drawings without a script and without a width, whose places are percentages of the time, so that they
 * fit every window and every sheet of paper with letters of one size.
 */
import { type ScaleLinear, scaleLinear } from 'd3-scale'
import { ms } from '../summary.ts'
import { html, type Markup } from './markup.ts'

export type TimeScale = ScaleLinear<number, number>

/** From milliseconds of the run to percent of the width. */
export const timeScale = (durationMs: number): TimeScale => scaleLinear([0, Math.max(1, durationMs)], [0, 100])

export interface Bar {
  readonly startMs: number
  readonly endMs: number
  /** What it stands for: a class of the style sheet. */
  readonly kind: string
  /** Inside of the bar, as far as it has room. */
  readonly label?: string
  /** When pointed at. */
  readonly title: string
}

export interface Mark {
  readonly atMs: number
  readonly severity: 'warning' | 'critical'
  readonly title: string
}

export interface Lane {
  readonly name: string
  /** Beside the name, smaller. */
  readonly note?: string
  readonly bars: readonly Bar[]
  readonly marks?: readonly Mark[]
  /** Short bars below the others. */
  readonly under?: readonly Bar[]
}

const HEIGHT = 24
/** Narrower ones have no room for a letter (%). */
const LABELLED = 2

const percent = (value: number): string => `${Math.round(value * 100) / 100}%`

export function drawLane(lane: Lane, x: TimeScale): Markup {
  const { name, note, bars, marks = [], under = [] } = lane
  return html`<div class="lane"><div class="lane-name">${name}${note && html` <small>${note}</small>`}</div>
<svg class="track" width="100%" height="${HEIGHT}" aria-hidden="true">${grid(x)}${bars.map((bar) => drawBar(bar, x, 2, HEIGHT - 6))}${under.map((bar) => drawBar(bar, x, HEIGHT - 6, 5))}${marks.map((mark) => drawMark(mark, x))}</svg></div>
`
}

function drawBar({ startMs, endMs, kind, label, title }: Bar, x: TimeScale, y: number, height: number): Markup {
  const width = Math.max(0.15, x(endMs) - x(startMs))
  const left = Math.min(x(startMs), 100 - width)
  const text = label !== undefined && width > LABELLED && html`<text x="5" y="13">${label}</text>`
  return html`<svg class="bar ${kind}" x="${percent(left)}" y="${y}" width="${percent(width)}" height="${height}"><title>${title}</title><rect width="100%" height="100%"/>${text}</svg>`
}

/** The two kinds differ in their form, too. */
function drawMark({ atMs, severity, title }: Mark, x: TimeScale): Markup {
  const shape = severity === 'critical' ? 'M0 1l7 7-7 7-7-7z' : 'M0 2l6.5 12h-13z'
  const left = Math.min(99.4, Math.max(0.6, x(atMs)))
  return html`<svg class="mark ${severity}" x="${percent(left)}" y="2" overflow="visible"><title>${title}</title><path d="${shape}"/></svg>`
}

const ticksOf = (x: TimeScale): number[] => x.ticks(6).filter((tick) => x(tick) < 92)

const grid = (x: TimeScale): Markup[] =>
  ticksOf(x).map(
    (tick) => html`<line class="grid" x1="${percent(x(tick))}" x2="${percent(x(tick))}" y1="0" y2="100%"/>`,
  )

/** The times, above or below the lanes. */
export function drawAxis(x: TimeScale): Markup {
  const labels = ticksOf(x).map(
    (tick, i) =>
      html`<text class="${i % 2 === 1 ? 'odd' : 'even'}" x="${percent(x(tick))}" dx="${tick === 0 ? 0 : 3}" y="12">${tick === 0 ? '0' : ms(tick)}</text>`,
  )
  return html`<div class="lane axis"><div class="lane-name"></div><svg class="track" width="100%" height="16" aria-hidden="true">${labels}</svg></div>
`
}
