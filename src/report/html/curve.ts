/** Connections over time against the limit, on the axis of the other picture. */
import { scaleLinear } from 'd3-scale'
import { area, curveStepAfter, line } from 'd3-shape'
import { plural } from '../format.ts'
import type { RunReport } from '../run-report.ts'
import { ms } from '../summary.ts'
import { drawAxis, timeScale } from './lane.ts'
import { html, type Markup } from './markup.ts'

const WIDTH = 1000
const HEIGHT = 180
/** Points of a curve at most: more than a screen can show. */
const POINTS = 500
/** Below this share of the limit the curve would be a line at the bottom, so the limit is only named. */
const IN_SIGHT = 0.3

type Sample = RunReport['connections']['samples'][number]

export function drawConnections({ connections, durationMs }: RunReport): Markup {
  const { limit, peak, peakAtMs, severity, samples } = connections
  if (peak === null || limit === null || samples.length === 0) {
    return html`<figure class="curve" id="connections"><figcaption>Connections</figcaption><p>Nobody has looked at the server’s connections: there was no server, or it was never reached.</p></figure>
`
  }
  const inSight = peak >= limit * IN_SIGHT
  const x = timeScale(durationMs)
  const y = scaleLinear([0, inSight ? Math.max(limit, peak) * 1.04 : Math.max(4, peak * 1.2)], [HEIGHT, 0]).nice(4)
  const points = thin(samples)
  const last = points.at(-1)
  // Up to the end of the run, as far as anybody knows.
  const whole = last && last.atMs < durationMs ? [...points, { ...last, atMs: durationMs }] : points
  const px = ({ atMs }: Sample): number => round(x(atMs) * (WIDTH / 100))
  const total = area<Sample>(px, HEIGHT, ({ total }) => round(y(total))).curve(curveStepAfter)(whole)
  const edge = line<Sample>(px, ({ total }) => round(y(total))).curve(curveStepAfter)(whole)
  const own = line<Sample>(px, ({ own }) => round(y(own))).curve(curveStepAfter)(whole)
  const share = Math.round((peak / limit) * 100)
  const ticks = y.ticks(4).filter((tick) => Number.isInteger(tick))
  const height = (value: number): string => `${round((y(value) / HEIGHT) * 100)}%`
  const text = `The most were ${peak} of ${limit} (${share} %)${peakAtMs === null ? '' : `, ${ms(peakAtMs)} after the start`}`
  return html`<figure class="curve" id="connections"><figcaption>Connections of the server <small><span class="key"><i class="total"></i>all</span> <span class="key"><i class="own"></i>on this run’s databases</span> ${inSight && html`<span class="key"><i class="limit"></i>limit</span>`}</small></figcaption>
<p class="${severity}">${text}${inSight ? '' : ', so the limit is far above this picture'}. ${plural(samples.length, 'look')} at the server.</p>
<div role="img" aria-label="Connections over time. ${text}."><div class="lane plot"><div class="lane-name scale">${ticks.map((tick) => html`<span style="top:${height(tick)}">${tick}</span>`)}</div>
<svg class="track" width="100%" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" aria-hidden="true">
${ticks.map((tick) => html`<line class="grid" x1="0" x2="${WIDTH}" y1="${round(y(tick))}" y2="${round(y(tick))}"/>`)}
<path class="area" d="${total}"/><path class="total" d="${edge}"/><path class="own" d="${own}"/>${inSight && html`<line class="limit" x1="0" x2="${WIDTH}" y1="${round(y(limit))}" y2="${round(y(limit))}"/>`}</svg></div>
${drawAxis(x)}</div></figure>
`
}

/** Keeps the peaks: of neighbours the one with the most connections stays. */
function thin(samples: readonly Sample[]): Sample[] {
  const size = Math.ceil(samples.length / POINTS)
  const kept: Sample[] = []
  for (let i = 0; i < samples.length; i += size) {
    const group = samples.slice(i, i + size)
    kept.push(group.reduce((best, one) => (one.total > best.total ? one : best)))
  }
  return kept
}

const round = (value: number): number => Math.round(value * 10) / 10
