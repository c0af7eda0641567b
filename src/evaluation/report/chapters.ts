import {
  SPLITS,
  type BacktestReport,
  type BaselineName,
  type ReportAggregate,
  type Split,
} from "../backtest/report.ts";
import { chartSvg } from "./chart.ts";
import { countText, forecasterText, intervalText, percentText, pValueText, ratioText, scoreText } from "./format.ts";
import { folded, html, left, right, table, type Html } from "./html.ts";
import { pitChart, relativeFrequencies } from "./pit-chart.ts";
import { aggregatesOf, handedOver, pooledCalibration, pooledSplits, type HorizonView } from "./pooled.ts";
import { ratioChart, ratioExtent, type RatioRow, type RatioSeries } from "./ratio-chart.ts";
import { SERIES_COLOURS } from "./style.ts";
import { ranked } from "./summary.ts";

function colourOf(view: HorizonView, forecaster: string): string {
  return SERIES_COLOURS[Math.max(view.forecasters.indexOf(forecaster), 0) % SERIES_COLOURS.length]!;
}

function baselineSeries(view: HorizonView): RatioSeries[] {
  return view.baselines.map((baseline) => ({ against: baseline, colour: colourOf(view, baseline) }));
}

export function ranking(view: HorizonView): Html {
  const rows = ranked(view.totals).map(({ engine, weightedScore, prompts, comparisons }, i) => [
    i + 1,
    engine,
    scoreText(weightedScore),
    countText(prompts),
    countText(handedOver(aggregatesOf(view, engine))),
    ...ratioCells(view.baselines, comparisons),
  ]);
  const columns = [
    left("rank"),
    left("forecaster"),
    right("score, bps"),
    right("prompts"),
    right("answered by another"),
  ];
  return table(
    `${view.horizon} prompts, all assets: mean score weighted by the subnet's asset coefficients; ratios of means with their 95 % intervals`,
    [...columns, ...view.baselines.map((name) => right(`ratio to ${name}`))],
    rows,
  );
}

/** What each forecaster does. */
export function glossary({ metadata }: BacktestReport): Html {
  const names = [...new Set([...metadata.engines, ...metadata.baselines])];
  const known = names.filter((name) => forecasterText(name) !== "");
  return html`<ul class="muted">
    ${known.map((name) => html`<li><strong>${name}</strong>: ${forecasterText(name)}</li>`)}
  </ul>`;
}

function ratioCells(baselines: readonly BaselineName[], comparisons: readonly RatioLike[]): string[] {
  return baselines.map((baseline) => {
    const found = comparisons.find((one) => one.baseline === baseline);
    return found?.ratio === undefined || found.ratio === null
      ? "–"
      : `${ratioText(found.ratio)}\n${intervalText(found)}`;
  });
}

interface RatioLike {
  readonly baseline: BaselineName;
  readonly ratio: number | null;
  readonly ratioLow: number | null;
  readonly ratioHigh: number | null;
}

export function assetCharts(view: HorizonView): Html {
  const perEngine = view.engines.map((engine) => ({ engine, rows: assetRows(view, engine) }));
  const extent = ratioExtent(perEngine.flatMap(({ rows }) => rows));
  const figures = perEngine.map(({ engine, rows }) => {
    const title = `${engine}, ${view.horizon} prompts: score by asset against the baselines`;
    const description =
      "Ratio of mean scores with its 95 % interval, for all assets together and for each asset; left of 1 the engine is better.";
    return html`<figure>
      <h3>${title}</h3>
      ${chartSvg(ratioChart({ title, description, rows, series: baselineSeries(view), extent }))}
      <figcaption>${description} The whiskers are paired block-bootstrap intervals over calendar days.</figcaption>
    </figure>`;
  });
  return html`${figures}${assetTable(view)}${intervalTable(view)}`;
}

function assetRows(view: HorizonView, engine: string): RatioRow[] {
  const against = (one: RatioLike): RatioRow["ratios"][number] => ({ against: one.baseline, ...one });
  const total = view.totals.find((row) => row.engine === engine);
  const all = total === undefined ? [] : [{ label: "all, weighted", ratios: total.comparisons.map(against) }];
  return [
    ...all,
    ...aggregatesOf(view, engine).map(({ asset, comparisons }) => ({ label: asset, ratios: comparisons.map(against) })),
  ];
}

function assetTable(view: HorizonView): Html {
  const rows = view.aggregates.map((row) => [
    row.asset,
    row.engine,
    countText(row.prompts),
    scoreText(row.meanScore),
    scoreText(row.meanPriceCrps),
    scoreText(row.meanVolatilityCrps),
    ...ratioCells(view.baselines, row.comparisons),
    row.sigmaPerHour === null ? "–" : percentText4(row.sigmaPerHour),
  ]);
  const columns = [
    left("asset"),
    left("forecaster"),
    right("prompts"),
    right("score, bps"),
    right("price CRPS, bps"),
    right("volatility CRPS, bps"),
  ];
  return html`${table(
    `${view.horizon} prompts by asset: mean scores (score = price + volatility CRPS) and ratios of means with 95 % intervals`,
    [...columns, ...view.baselines.map((name) => right(`ratio to ${name}`)), right("constant σ per hour")],
    rows,
  )}${significanceTable(view)}`;
}

function percentText4(fraction: number): string {
  return `${(100 * fraction).toFixed(4)} %`;
}

function significanceTable(view: HorizonView): Html {
  const rows = view.aggregates.flatMap((row) =>
    row.comparisons.map((one) => [
      row.asset,
      row.engine,
      one.baseline,
      countText(one.prompts),
      scoreText(one.meanDifference),
      one.dmStatistic === null ? "–" : one.dmStatistic.toFixed(2),
      pValueText(one.dmPValue),
      countText(one.dmLags),
    ]),
  );
  const columns = [left("asset"), left("forecaster"), left("against"), right("prompts"), right("mean difference, bps")];
  return folded(
    "Could it be chance? Diebold-Mariano tests",
    table(
      "Paired differences of scores (negative: the forecaster is better), tested with a variance that allows for autocorrelation (Newey-West)",
      [...columns, right("statistic"), right("p-value"), right("lags, prompts")],
      rows,
    ),
  );
}

function intervalTable(view: HorizonView): Html {
  const names = [...new Set(view.aggregates.flatMap(({ meanByInterval }) => Object.keys(meanByInterval)))];
  const rows = view.aggregates.map(({ asset, engine, meanByInterval }) => [
    asset,
    engine,
    ...names.map((name) => scoreText(new Map(Object.entries(meanByInterval)).get(name) ?? null)),
  ]);
  return folded(
    "Where the score comes from: mean price CRPS by interval",
    table(
      "Mean price CRPS in bps by scored interval (5min: changes over 5 minutes; _abs: the price itself; _gaps: change from the start)",
      [left("asset"), left("forecaster"), ...names.map(right)],
      rows,
    ),
  );
}

const SPLIT_TEXTS: Readonly<Record<Split, string>> = {
  volatility_low: "low volatility",
  volatility_middle: "middle volatility",
  volatility_high: "high volatility",
  weekday: "weekday",
  weekend: "weekend",
  us_session: "starts in the US session",
  us_closed: "starts outside it",
};

export function splitCharts(view: HorizonView): Html {
  const perEngine = view.engines.map((engine) => ({
    engine,
    rows: pooledSplits(view, engine).map(({ split, ratios }) => ({
      label: SPLIT_TEXTS[split],
      ratios: ratios.map(({ baseline, ratio }) => ({ against: baseline, ratio })),
    })),
  }));
  const extent = ratioExtent(perEngine.flatMap(({ rows }) => rows));
  const figures = perEngine
    .filter(({ rows }) => rows.length > 0)
    .map(({ engine, rows }) => {
      const title = `${engine}, ${view.horizon} prompts: score by volatility and day`;
      const description =
        "Ratio of mean scores, assets weighted by the subnet's coefficients; left of 1 the engine is better.";
      return html`<figure>
        <h3>${title}</h3>
        ${chartSvg(ratioChart({ title, description, rows, series: baselineSeries(view), extent }))}
        <figcaption>${description} Terciles are of the volatility known at the start of the prompt.</figcaption>
      </figure>`;
    });
  const pooled = view.forecasters.flatMap((engine) =>
    pooledSplits(view, engine).map(({ split, prompts, weightedScore, ratios }) => [
      SPLIT_TEXTS[split],
      engine,
      countText(prompts),
      scoreText(weightedScore),
      ...splitCells(view.baselines, ratios),
    ]),
  );
  const columns = [left("prompts with"), left("forecaster"), right("prompts"), right("mean score, bps")];
  const ratioColumns = view.baselines.map((name) => right(`ratio to ${name}`));
  return html`${figures}${table(`${view.horizon} prompts by volatility tercile and day, all assets weighted`, [...columns, ...ratioColumns], pooled)}
  ${folded(
    "The same for each asset",
    table(
      "By asset",
      [left("asset"), ...columns, ...ratioColumns],
      view.aggregates.flatMap((row) => assetSplits(view, row)),
    ),
  )}`;
}

function assetSplits(view: HorizonView, { asset, engine, splits }: ReportAggregate): string[][] {
  return SPLITS.flatMap((split) => splits.filter((part) => part.split === split)).map((part) => [
    asset,
    SPLIT_TEXTS[part.split],
    engine,
    countText(part.prompts),
    scoreText(part.meanScore),
    ...splitCells(view.baselines, part.ratios),
  ]);
}

function splitCells(
  baselines: readonly BaselineName[],
  ratios: readonly { baseline: BaselineName; ratio: number | null }[],
): string[] {
  return baselines.map((name) => ratioText(ratios.find(({ baseline }) => baseline === name)?.ratio ?? null));
}

const KINDS = [
  { kind: "change", words: "price changes" },
  { kind: "absolute", words: "final prices" },
] as const;

export function pitCharts(view: HorizonView): Html {
  const rows = KINDS.map(({ kind, words }) => {
    const tiles = view.forecasters.map((engine) => ({
      engine,
      calibration: pooledCalibration(aggregatesOf(view, engine), kind),
    }));
    const maxFrequency = Math.max(1.2, ...tiles.flatMap(({ calibration }) => relativeFrequencies(calibration)));
    const figures = tiles.map(({ engine, calibration }) => {
      const look = { colour: colourOf(view, engine), maxFrequency };
      return html`<div class="tile">
        <strong>${engine}</strong>${chartSvg(pitChart(engine, `${words}, ${view.horizon} prompts`, calibration, look))}
      </div>`;
    });
    const bins = tiles[0]?.calibration.pitHistogram.map((_, bin, all) => [
      `${(bin / all.length).toFixed(2)} to ${((bin + 1) / all.length).toFixed(2)}`,
      ...tiles.map(({ calibration }) => countText(calibration.pitHistogram[bin]!)),
    ]);
    return html`<figure>
      <h3>${view.horizon} prompts: ${words}</h3>
      <div class="tiles">${figures}</div>
      ${folded("The counts", table(`Observations by PIT bin, ${words}`, [left("PIT"), ...view.forecasters.map(right)], bins ?? []))}
    </figure>`;
  });
  return html`${rows}`;
}

export function coverageTable(view: HorizonView): Html {
  const cells = (rows: readonly ReportAggregate[], kind: "change" | "absolute"): string[] => {
    const { observations, coverage } = pooledCalibration(rows, kind);
    return [
      countText(observations),
      ...(["50", "80", "95", "99"] as const).map((level) => percentText(coverage[level])),
    ];
  };
  const columns = [right("observations"), ...[50, 80, 95, 99].map((level) => right(`inside ${level} %`))];
  const pooled = KINDS.flatMap(({ kind, words }) =>
    view.forecasters.map((engine) => [engine, words, ...cells(aggregatesOf(view, engine), kind)]),
  );
  const byAsset = KINDS.flatMap(({ kind, words }) =>
    view.aggregates.map((row) => [row.asset, row.engine, words, ...cells([row], kind)]),
  );
  return html`${table(`${view.horizon} prompts, all assets`, [left("forecaster"), left("quantity"), ...columns], pooled)}
  ${folded("Coverage by asset", table(`${view.horizon} prompts by asset`, [left("asset"), left("forecaster"), left("quantity"), ...columns], byAsset))}`;
}

export function handOvers({ aggregates }: BacktestReport): Html {
  const rows = aggregates.flatMap(({ asset, horizon, engine, handOvers: counts }) =>
    Object.entries(counts).map(([reason, count]) => [asset, horizon, engine, reason, countText(count)]),
  );
  if (rows.length === 0) return html`<p>Every engine answered all of its prompts itself.</p>`;
  return html`<p>
      On some prompts an engine could not answer and the next one in its route did; these prompts count for the engine
      that was asked.
    </p>
    ${table("Prompts answered by another engine", [left("asset"), left("horizon"), left("asked"), left("answered by, and why"), right("prompts")], rows)}`;
}
