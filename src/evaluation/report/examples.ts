import type { BacktestReport, ReportExample } from "../backtest/report.ts";
import { chartSvg } from "./chart.ts";
import { centralBands, fanChart, priceExtent } from "./fan-chart.ts";
import { counted, priceText, scoreText, timeText } from "./format.ts";
import { folded, html, left, right, table, trusted, type Html } from "./html.ts";
import { SERIES_COLOURS } from "./style.ts";

/** A fan is about 60 kB of SVG: the page stays within a few megabytes. */
const MAX_PROMPTS = 24;
const MAX_TABLE_ROWS = 9;

/** One prompt at a time, chosen by radio buttons and CSS alone; the page has no script. */
export function exampleCharts({ examples, metadata }: BacktestReport): Html {
  if (examples.length === 0) return html`<p>The report holds no example prompt.</p>`;
  const prompts = [...Map.groupBy(examples, ({ asset, horizon, start }) => `${asset} ${horizon} ${start}`).values()];
  const shown = prompts.slice(0, MAX_PROMPTS);
  const engines = [...new Set([...metadata.engines, ...examples.map(({ engine }) => engine)])];
  const choices = shown.map((group, i) => choice(group[0]!, i));
  const panels = shown.map((group, i) => html`<div class="panel" id="panel-${i}">${panel(group, engines)}</div>`);
  const rules = shown.map(
    (_, i) => `#example-${String(i)}:checked ~ .panels > #panel-${String(i)} { display: block; }`,
  );
  const rest =
    prompts.length > shown.length
      ? html`<p class="muted">${counted(prompts.length - shown.length, "further example")} in the JSON report.</p>`
      : html``;
  return html`<style>
      ${trusted(rules.join("\n"))}
    </style>
    <div class="picker" role="radiogroup" aria-label="Example prompt">
      ${choices}
      <div class="panels">${panels}</div>
    </div>
    ${rest}`;
}

function choice({ asset, horizon, start }: ReportExample, index: number): Html {
  return html`<input
      type="radio"
      name="example"
      id="example-${index}"
      ${trusted(index === 0 ? " checked" : "")}
    /><label for="example-${index}">${asset} ${horizon}, ${timeText(start)}</label>`;
}

function panel(group: readonly ReportExample[], engines: readonly string[]): Html {
  const extent = priceExtent(group);
  const figures = group.map((example) => {
    const chart = fanChart(example, extent, SERIES_COLOURS[engines.indexOf(example.engine) % SERIES_COLOURS.length]!);
    const note = `Price at the start ${priceText(example.anchorPrice)}; ${example.resolution === "1m" ? "1" : "5"}-minute candles; score of this prompt ${scoreText(example.total)} bps.`;
    return html`<figure>
      <h3>${chart.title}</h3>
      ${chartSvg(chart)}
      <figcaption>
        ${note} The stronger the colour of a band, the more central its paths; thin grey lines are single simulated
        paths.
      </figcaption>
      ${folded("The numbers", fanTable(example))}
    </figure>`;
  });
  return html`${figures}`;
}

function fanTable(example: ReportExample): Html {
  const bands = centralBands(example);
  const median = example.bands.find(({ percent }) => percent === 50);
  const points = example.offsetsSeconds.length;
  const stride = Math.max(1, Math.ceil((points - 1) / (MAX_TABLE_ROWS - 1)));
  const chosen = example.offsetsSeconds.map((_, i) => i).filter((i) => i % stride === 0 || i === points - 1);
  const rows = chosen.map((i) => [
    `${String(example.offsetsSeconds[i]! / 60)} min`,
    priceText(example.realised[i] ?? null),
    priceText(median?.prices[i] ?? null),
    ...bands.map(({ low, high }) => `${priceText(low[i] ?? null)} to ${priceText(high[i] ?? null)}`),
  ]);
  const columns = bands.map(({ percent }) => right(`central ${String(Math.round(percent))} %`));
  return table(
    `${example.engine}, ${example.asset}: prices in US dollars at times after the start`,
    [left("time"), right("what happened"), right("median"), ...columns],
    rows,
  );
}
