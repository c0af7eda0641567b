import { SKIP_TEXTS, type BacktestReport } from "../backtest/report.ts";
import { assetCharts, coverageTable, glossary, handOvers, pitCharts, ranking, splitCharts } from "./chapters.ts";
import { exampleCharts } from "./examples.ts";
import { countText, timeText } from "./format.ts";
import { html, left, right, table, trusted, type Html } from "./html.ts";
import { horizonViews, type HorizonView } from "./pooled.ts";
import { STYLE } from "./style.ts";
import { summary } from "./summary.ts";

interface Chapter {
  readonly id: string;
  readonly head: string;
  /** What the chapter shows and how to read it, for a newcomer. */
  readonly intro: string;
  readonly content: Html;
}

/** Nothing may be loaded or run, whatever a string of the report says. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

export function renderPage(report: BacktestReport): string {
  const { metadata } = report;
  const title = `Backtest of ${metadata.engines.join(", ")}${metadata.partial ? " (partial)" : ""}`;
  const all = chapters(report);
  const links = all.map(({ id, head }) => html`<li><a href="#${id}">${head}</a></li>`);
  const sections = all.map(
    ({ id, head, intro, content }) =>
      html`<section aria-labelledby="${id}">
        <h2 id="${id}">${head}</h2>
        <p>${intro}</p>
        ${content}
      </section>`,
  );
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta http-equiv="Content-Security-Policy" content="${POLICY}" />
        <title>${title}</title>
        <style>
          ${trusted(STYLE)}
        </style>
      </head>
      <body>
        <main>
          <h1>${title}</h1>
          <p class="muted">
            Probabilistic price forecasts for the Synth subnet of Bittensor, tested on the past. Made
            ${timeText(metadata.created)}.
          </p>
          ${summary(report)}
          <nav aria-label="Chapters">
            <ul>
              ${links}
            </ul>
          </nav>
          ${sections}
        </main>
      </body>
    </html> `.markup;
}

function chapters(report: BacktestReport): Chapter[] {
  const views = horizonViews(report);
  const each = (draw: (view: HorizonView) => Html): Html =>
    views.length === 0 ? html`<p>No prompt was scored.</p>` : html`${views.map(draw)}`;
  const { planned, scored } = report.metadata.prompts;
  return [
    {
      id: "ranking",
      head: "All forecasters compared",
      intro: INTROS.ranking,
      content: html`${each(ranking)}${glossary(report)}`,
    },
    { id: "example", head: "A forecast against what happened", intro: INTROS.example, content: exampleCharts(report) },
    { id: "assets", head: "Score by asset", intro: INTROS.assets, content: each(assetCharts) },
    {
      id: "splits",
      head: "Calm and wild markets, weekdays and weekends",
      intro: INTROS.splits,
      content: each(splitCharts),
    },
    { id: "pit", head: "Are the forecasts honest about uncertainty?", intro: INTROS.pit, content: each(pitCharts) },
    { id: "coverage", head: "Coverage", intro: INTROS.coverage, content: each(coverageTable) },
    {
      id: "left-out",
      head: "What was left out, and why",
      intro: `Of ${countText(planned)} planned prompts ${countText(scored)} were scored.`,
      content: leftOut(report),
    },
    { id: "method", head: "How this report was made", intro: INTROS.method, content: method(report) },
  ];
}

const INTROS = {
  ranking:
    "Every forecaster answered the same prompts. The oracle is no real forecaster: it uses the constant volatility that " +
    "turned out best on this very data, and shows how far a constant can get.",
  example:
    "A forecast is a fan of possible prices, and the heavy line is what came. A good fan is as narrow as it can be while " +
    "still holding the line as often as it claims. Choose a prompt:",
  assets:
    "A mark left of the dashed line at 1 means a better score than that baseline. Where the whisker, the 95 % interval, " +
    "crosses the line, the difference may be chance.",
  splits:
    "An average can hide a weakness. Here the prompts are divided by how volatile the market was when the forecast was " +
    "made (three parts of about equal size), and by weekday and weekend.",
  pit:
    "For every scored quantity the histogram (PIT, probability integral transform) counts where what happened fell among " +
    "the simulated values, from below all of them (0) to above all (1). Flat at 1 is ideal; high edges mean that the " +
    "forecasts were too narrow, a hump in the middle that they were too wide, a slope that they leaned one way.",
  coverage:
    "How often what happened lay inside the central 50, 80, 95 and 99 % of the simulated values. The nearer to the " +
    "number in the heading, the better.",
  method: "With the same data and seed the command gives the same numbers.",
} as const;

function leftOut(report: BacktestReport): Html {
  const { prompts, notes, partial } = report.metadata;
  const skipped = prompts.skipped.map((row) => [
    row.asset,
    row.horizon,
    SKIP_TEXTS[row.reason],
    countText(row.prompts),
  ]);
  const reached = prompts.scored + prompts.skipped.reduce((total, row) => total + row.prompts, 0);
  const missed = partial
    ? html`<p>
        ${countText(Math.max(prompts.planned - reached, 0))} were not reached because the run was interrupted.
      </p>`
    : html``;
  const reasons =
    skipped.length === 0
      ? html`<p>No prompt was left out for want of data.</p>`
      : table("Prompts left out", [left("asset"), left("horizon"), left("reason"), right("prompts")], skipped);
  return html`${missed}${reasons}${handOvers(report)}
    <ul>
      ${notes.map((note) => html`<li>${note}</li>`)}
    </ul>`;
}

function method({ metadata }: BacktestReport): Html {
  const { promptsFile, strideSeconds, from, to } = metadata;
  const facts: [string, string][] = [
    ["command", metadata.commandLine],
    ["data", metadata.dataDirs.join(", ")],
    ["start times", from === null || to === null ? "–" : `${timeText(from)} to ${timeText(to)}`],
    ["prompts from", promptsFile ?? (strideSeconds === null ? "–" : `every ${countText(strideSeconds)} s`)],
    ["seed", String(metadata.seed)],
    ["paths per prompt", countText(metadata.pathsPerPrompt)],
    ["bootstrap draws", countText(metadata.bootstrapDraws)],
    ["version", `${metadata.packageVersion}, commit ${metadata.gitCommit ?? "unknown"}, Node ${metadata.nodeVersion}`],
    ["run time", `${metadata.wallSeconds.toFixed(1)} s with ${countText(metadata.workers)} worker threads`],
    ["made", metadata.created],
  ];
  const rows = facts.map(
    ([name, value]) =>
      html`<tr>
        <th scope="row">${name}</th>
        <td class="wide"><code>${value}</code></td>
      </tr>`,
  );
  const columns = [left("asset"), left("horizon"), left("candles"), right("prompts")];
  const candles = metadata.resolutions.map((row) => [row.asset, row.horizon, row.resolution, countText(row.prompts)]);
  return html`<table>
      <caption>
        The run
      </caption>
      <tbody>
        ${rows}
      </tbody>
    </table>
    ${table("Candles that answered", columns, candles)}`;
}
