/** The style sheet of the page: light and dark, wide and narrow, screen and paper. */
export const STYLE = `
:root { color-scheme: light dark; --page: #fbfbfa; --card: #ffffff; --text: #1c1e21; --soft: #5b616a; --line: #e1e3e6; --grid: #e9ebee;
  --ok: #1d7a44; --warning: #8a5a00; --critical: #b3261e; --ok-soft: #e3f3e8; --warning-soft: #fdf0d5; --critical-soft: #fde7e5;
  --up: #dfe6ee; --start: #7a8ca3; --wait: #e0a030; --template: #d9cdf0; --migration: #7b5ac2; --migration-odd: #9479d2; --clone: #2f9c95; --lease: #9bcfcb;
  --file: #3d74c0; --file-odd: #6c9ad8; --slow: #d9480f; --total: #3d74c0; --total-soft: #dbe7f6; --own: #2f9c95; --on: #ffffff }
@media (prefers-color-scheme: dark) { :root { --page: #15171a; --card: #1d2024; --text: #e8eaed; --soft: #a0a7b1; --line: #33383f; --grid: #2a2e34;
  --ok: #6fd394; --warning: #f0b44c; --critical: #ff8a80; --ok-soft: #1a3324; --warning-soft: #3a2d12; --critical-soft: #44201d;
  --up: #2c3540; --start: #71839a; --wait: #c98a1c; --template: #3c3157; --migration: #8d6fd1; --migration-odd: #6f53b3; --clone: #37aaa2; --lease: #23625e;
  --file: #4a82d0; --file-odd: #3564a8; --slow: #ff7a45; --total: #6ea2e8; --total-soft: #22344d; --own: #45bdb4; --on: #ffffff } }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; overflow-wrap: anywhere }
main { max-width: 1240px; margin: 0 auto; padding: 24px 20px 48px }
header.top { border-left: 5px solid var(--ok); padding: 2px 0 2px 16px; margin-bottom: 20px }
header.top.warning { border-color: var(--warning) } header.top.critical { border-color: var(--critical) }
.where { color: var(--soft); margin: 0; font-size: 13px }
h1 { font-size: 26px; line-height: 1.25; margin: 2px 0 6px } .critical > h1 { color: var(--critical) }
h2 { font-size: 17px; margin: 0 0 8px; display: inline-block }
header.top p.story { margin: 0 0 4px; max-width: 78ch }
small { color: var(--soft); font-size: 12.5px; font-weight: 400 }
ul.problems { list-style: none; margin: 0 0 20px; padding: 0 } ul.problems li { padding: 6px 12px; margin-bottom: 4px; border-radius: 6px }
li.critical { background: var(--critical-soft) } li.warning { background: var(--warning-soft) }
li b { margin-right: 8px } li.critical b, b.critical { color: var(--critical) } li.warning b, b.warning { color: var(--warning) }
dl.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 10px; margin: 0 0 20px }
dl.tiles div { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 8px 12px }
dt { color: var(--soft); font-size: 12.5px } dd { margin: 0; font-size: 19px; font-weight: 600; line-height: 1.3 } dd small { display: block }
figure, section { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 14px 16px; margin: 0 0 16px }
figcaption { font-size: 17px; font-weight: 600; margin-bottom: 8px } figcaption small { margin-left: 8px }
figure p { margin: 0 0 8px; color: var(--soft) } figure p.critical { color: var(--critical) } figure p.warning { color: var(--warning) }
.lane { display: grid; grid-template-columns: 150px minmax(0, 1fr); align-items: center; gap: 10px }
.lane-name { text-align: right; font-size: 13px; line-height: 1.15; padding: 2px 0 } .lane-name small { display: block; font-size: 11.5px }
.track { display: block; overflow: hidden } .track text { font-size: 11px; fill: var(--on) } .axis text { fill: var(--soft) }
.grid { stroke: var(--grid); stroke-width: 1; vector-effect: non-scaling-stroke }
.bar { overflow: hidden } .bar rect { fill: var(--file) } .bar.up rect { fill: var(--up) } .bar.up text { fill: var(--soft) } .bar.start rect { fill: var(--start) }
.bar.wait rect { fill: var(--wait) } .bar.wait text { fill: #1c1e21 } .bar.template rect { fill: var(--template) } .bar.template.reused rect { fill: var(--lease) } .bar.template.failed rect { fill: var(--critical-soft) }
.bar.template text { fill: var(--text) }
.bar.migration rect { fill: var(--migration) } .bar.migration.odd rect { fill: var(--migration-odd) } .bar.clone rect { fill: var(--clone) } .bar.lease rect { fill: var(--lease) }
.bar.file.odd rect { fill: var(--file-odd) } .bar.file.unfinished rect { fill: var(--file); fill-opacity: .35; stroke: var(--critical); stroke-width: 2; stroke-dasharray: 4 3 } .bar.file.unfinished text { fill: var(--text) }
.bar.slow rect { fill: var(--slow) } .bar.critical rect { fill: var(--critical) } .bar.wait.critical text, .bar.migration.critical text { fill: var(--page) }
.bar.file rect, .bar.migration rect { stroke: var(--card); stroke-width: 1 }
.mark path { stroke: var(--card); stroke-width: 1.5; fill: var(--warning) } .mark.critical path { fill: var(--critical) }
.key { white-space: nowrap; margin-right: 8px } .key i { display: inline-block; width: 12px; height: 10px; border-radius: 2px; margin-right: 4px; background: var(--file) }
.key i.wait { background: var(--wait) } .key i.migration { background: var(--migration) } .key i.slow { background: var(--slow); height: 5px; margin-bottom: 2px }
.key i.total { background: var(--total) } .key i.own { background: var(--own); height: 3px; margin-bottom: 3px } .key i.limit { height: 0; border-top: 2px dashed var(--critical); background: none; margin-bottom: 3px }
.plot { align-items: stretch } .scale { position: relative; font-size: 12px; color: var(--soft) } .scale span { position: absolute; right: 0; transform: translateY(-50%) }
.curve path { fill: none; stroke-width: 1.8; vector-effect: non-scaling-stroke } .curve path.area { fill: var(--total-soft) } .curve path.total { stroke: var(--total) } .curve path.own { stroke: var(--own) }
.curve .plot .track { overflow: visible } line.limit { stroke: var(--critical); stroke-width: 1.8; stroke-dasharray: 7 5; vector-effect: non-scaling-stroke }
table { border-collapse: collapse; width: 100%; font-size: 14px } th { text-align: left; color: var(--soft); font-weight: 500; font-size: 12.5px }
th, td { padding: 5px 10px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top } tr:last-child td { border-bottom: 0 }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap } td.number + td:not(.number), th.number + th:not(.number) { padding-left: 14px }
code { font: 12.5px/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace } .text { white-space: pre-line }
.badge { display: inline-block; border-radius: 4px; padding: 0 6px; font-size: 12px; font-weight: 600; white-space: nowrap }
.badge.critical { color: var(--critical); background: var(--critical-soft) } .badge.warning { color: var(--warning); background: var(--warning-soft) }
.meter { vertical-align: middle } .meter rect { fill: var(--up) } .meter rect.used { fill: var(--file) } .meter.warning rect.used { fill: var(--warning) } .meter.critical rect.used { fill: var(--critical) }
summary { cursor: pointer } summary h2 { margin: 0 } details[open] summary h2 { margin-bottom: 8px } summary:focus-visible { outline: 2px solid var(--file); outline-offset: 3px }
footer { color: var(--soft); font-size: 12.5px }
@media (max-width: 700px) {
  main { padding: 14px 12px 32px } h1 { font-size: 22px } figure, section { padding: 12px }
  .lane { grid-template-columns: minmax(0, 1fr); gap: 0 } .lane-name { text-align: left } .lane-name small { display: inline } .lane.axis .lane-name { display: none }
  .axis .odd { display: none } .plot { padding-left: 30px; position: relative } .plot .scale { position: absolute; left: 0; top: 0; bottom: 0; width: 24px; padding: 0 } .plot + .axis { padding-left: 30px }
  figcaption small { display: block; margin-left: 0 }
  thead { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden } tbody tr { display: block; padding: 6px 0; border-bottom: 1px solid var(--line) } tr:last-child { border-bottom: 0 }
  td { display: grid; grid-template-columns: 110px minmax(0, 1fr); gap: 8px; border: 0; padding: 2px 0; text-align: left; white-space: normal } td.number + td:not(.number) { padding-left: 0 }
  td > * { justify-self: start } td::before { content: attr(data-label); color: var(--soft); font-size: 12.5px }
}
@media print { :root { color-scheme: light } body { background: none } * { print-color-adjust: exact; -webkit-print-color-adjust: exact } figure, tr, dl.tiles div { break-inside: avoid } main { max-width: none; padding: 0 } }
`
