/**
 * Colours are custom properties, in charts too, so that one static file serves light, dark and print. Series colours:
 * after Okabe & Ito's palette (distinguishable with colour-blindness), lightened where the background is dark.
 */
export const SERIES_COLOURS = Array.from({ length: 7 }, (_, i) => `var(--c${String(i)})`);
export const INK = "var(--ink)";
export const MUTED = "var(--muted)";
export const GRID = "var(--grid)";
export const HAPPENED = "var(--happened)";

export const STYLE = `
:root { color-scheme: light; --paper: #fff; --panel: #f6f7f9; --ink: #1a1d21; --muted: #565d66; --grid: #d5d9df;
  --accent: #005a8f; --happened: #1a1d21; --warn: #fff3d6; --warn-edge: #b26a00;
  --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #b0578d; --c4: #a87900; --c5: #2f8fc4; --c6: #5c5c5c; }
@media screen and (prefers-color-scheme: dark) { :root { color-scheme: dark; --paper: #14171a; --panel: #1d2125;
  --ink: #e8eaed; --muted: #a9b0b8; --grid: #3a4047; --accent: #7cc4f0; --happened: #ffffff; --warn: #3a2c0c;
  --warn-edge: #e69f00;
  --c0: #56b4e9; --c1: #ff8a3d; --c2: #2fc79a; --c3: #e59cc6; --c4: #f0c04a; --c5: #9ad1f5; --c6: #b5b5b5; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI",
  Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0.5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.35rem; margin: 3rem 0 0.5rem; } h3 { font-size: 1.05rem; margin: 1.75rem 0 0.25rem; }
p, ul { max-width: 46rem; } .muted { color: var(--muted); }
.summary, .warning { padding: 0.5rem 1.25rem; border-radius: 4px; max-width: 49rem; }
.summary { background: var(--panel); border-left: 4px solid var(--accent); } .summary h2 { margin-top: 0.5rem; }
.warning { background: var(--warn); border-left: 4px solid var(--warn-edge); }
a { color: var(--accent); }
nav ul { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; padding: 0; list-style: none; max-width: none; }
code { overflow-wrap: anywhere; }
figure { margin: 1rem 0; } figcaption { color: var(--muted); font-size: 0.9rem; max-width: 46rem; }
.scroll { overflow-x: auto; } svg { display: block; max-width: 100%; height: auto; font-family: inherit; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 14rem), 1fr)); gap: 0.5rem 1rem; }
table { border-collapse: collapse; font-size: 0.88rem; margin: 0.75rem 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--muted); padding-bottom: 0.25rem; }
th, td { padding: 0.25rem 0.9rem 0.25rem 0; border-bottom: 1px solid var(--grid); text-align: left;
  vertical-align: top; white-space: pre; }
td.wide { white-space: normal; } th.right, td.right { text-align: right; }
thead th { vertical-align: bottom; color: var(--muted); white-space: normal; }
details { margin: 0.5rem 0; } summary { cursor: pointer; color: var(--accent); }
.picker > input { position: absolute; opacity: 0; } .picker > label { display: inline-block;
  margin: 0 0.35rem 0.35rem 0; padding: 0.2rem 0.7rem; border: 1px solid var(--grid); border-radius: 1rem;
  cursor: pointer; font-size: 0.88rem; }
.picker > input:checked + label { background: var(--accent); border-color: var(--accent); color: var(--paper); }
.picker > input:focus-visible + label { outline: 3px solid var(--c1); outline-offset: 2px; } .panel { display: none; }
@media screen and (max-width: 40rem) { .chart { overflow-x: auto; } .chart > svg { max-width: none; } }
@media print { main { max-width: none; padding: 0; } body { font-size: 11pt; } nav { display: none; }
  figure > .chart, tr, .tile { break-inside: avoid; } h2, h3 { break-after: avoid; } .scroll { overflow: visible; }
  table { font-size: 8pt; } th, td { white-space: pre-line; } details::details-content {
  content-visibility: visible; display: block; block-size: auto; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
`;
