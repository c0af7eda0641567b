import {
  backtestReportSchema,
  BASELINE_NAMES,
  FAN_PERCENTS,
  SPLITS,
  type BacktestReport,
  type BaselineName,
  type Horizon,
  type ReportAggregate,
  type ReportCalibration,
  type ReportExample,
} from "../../src/evaluation/backtest/report.ts";
import { ASSETS, type AssetSymbol } from "../../src/market/assets.ts";

/** A made-up but well-formed report of engine `ewma`, whose numbers a test can look for in the page. */
export function exampleReport(changes: Partial<BacktestReport["metadata"]> = {}): BacktestReport {
  const assets: AssetSymbol[] = ["BTC", "ETH"];
  const aggregates = (["24h", "1h"] as const).flatMap((horizon) =>
    assets.flatMap((asset, i) => [
      aggregate({ asset, horizon, engine: "ewma", score: 981.23 + i }),
      ...BASELINE_NAMES.map((engine, j) => aggregate({ asset, horizon, engine, score: 1071.45 - 40 * j + i })),
    ]),
  );
  return backtestReportSchema.parse({
    format: "synth-miner backtest",
    version: 1,
    metadata: { ...metadata(assets), ...changes },
    prompts: [],
    aggregates,
    totals: (["24h", "1h"] as const).flatMap((horizon) => totalsOf(horizon, aggregates, assets)),
    examples: [example("24h", "2025-11-03T12:05:00Z"), example("1h", "2025-08-09T07:31:00Z")],
  } satisfies BacktestReport);
}

/** Interrupted before the first prompt was scored. */
export function emptyReport(): BacktestReport {
  const { metadata: facts, ...report } = exampleReport();
  const prompts = { planned: 40, scored: 0, skipped: [] };
  const metadataOfNothing = { ...facts, partial: true, from: null, to: null, resolutions: [], notes: [], prompts };
  return backtestReportSchema.parse({
    ...report,
    metadata: metadataOfNothing,
    aggregates: [],
    totals: [],
    examples: [],
  });
}

function metadata(assets: AssetSymbol[]): BacktestReport["metadata"] {
  return {
    created: "2026-11-21T10:00:00Z",
    commandLine: "backtest --engines ewma --horizon 24h",
    packageVersion: "0.1.0",
    gitCommit: "4f11f69",
    nodeVersion: "24.21.0",
    seed: 7,
    dataDirs: ["../shared/market"],
    from: "2025-10-01T00:00:00Z",
    to: "2025-12-31T00:00:00Z",
    strideSeconds: 50_460,
    promptsFile: null,
    engines: ["ewma"],
    baselines: [...BASELINE_NAMES],
    assets,
    pathsPerPrompt: 1000,
    partial: false,
    wallSeconds: 61.5,
    workers: 2,
    bootstrapDraws: 2000,
    resolutions: assets.flatMap((asset) => [
      { asset, horizon: "24h" as const, resolution: "5m" as const, prompts: 153 },
      { asset, horizon: "1h" as const, resolution: "1m" as const, prompts: 153 },
    ]),
    notes: ["24h prompts of BTC ran on 5-minute candles"],
    prompts: {
      planned: 620,
      scored: 612,
      skipped: [{ asset: "ETH", horizon: "24h", reason: "segment_border", prompts: 8 }],
    },
  };
}

interface Row {
  readonly asset: AssetSymbol;
  readonly horizon: Horizon;
  readonly engine: string;
  readonly score: number;
}

function aggregate({ asset, horizon, engine, score }: Row): ReportAggregate {
  const isBaseline = BASELINE_NAMES.some((name) => name === engine);
  const volatility = horizon === "1h" ? 30 : 0;
  return {
    asset,
    horizon,
    engine,
    isBaseline,
    prompts: 153,
    handOvers: engine === "ewma" && asset === "ETH" ? { "ewma → baseline: state/too_short": 3 } : {},
    meanScore: score,
    meanPriceCrps: score - volatility,
    meanVolatilityCrps: volatility,
    meanByInterval: { "5min": score * 0.62, "24hour_abs": score * 0.04 },
    comparisons: othersThan(engine).map((baseline, i) => ({
      baseline,
      prompts: 153,
      ...ratios(0.9158 + 0.03 * i),
      meanDifference: -90.22,
      dmStatistic: -3.21,
      dmPValue: 0.0016,
      dmLags: 4,
    })),
    calibration: { change: calibration(53_040), absolute: calibration(153) },
    splits: SPLITS.map((split, i) => ({
      split,
      prompts: 51,
      meanScore: score * (0.7 + 0.2 * i),
      ratios: othersThan(engine).map((baseline) => ({ baseline, ratio: 0.95 })),
    })),
    sigmaPerHour: engine === "oracle" ? 0.0043 : null,
  };
}

function othersThan(engine: string): BaselineName[] {
  return BASELINE_NAMES.filter((name) => name !== engine);
}

function ratios(ratio: number): { ratio: number; ratioLow: number; ratioHigh: number } {
  return { ratio, ratioLow: ratio - 0.0123, ratioHigh: ratio + 0.0134 };
}

function calibration(observations: number): ReportCalibration {
  const pitHistogram = Array.from({ length: 20 }, (_, bin) =>
    Math.round((observations / 20) * (1 + 0.1 * Math.cos(bin))),
  );
  const total = pitHistogram.reduce((sum, count) => sum + count, 0);
  return { observations: total, coverage: { "50": 0.5123, "80": 0.8077, "95": 0.9481, "99": 0.9855 }, pitHistogram };
}

function totalsOf(
  horizon: Horizon,
  aggregates: readonly ReportAggregate[],
  assets: AssetSymbol[],
): BacktestReport["totals"] {
  const weight = assets.reduce((sum, asset) => sum + ASSETS[asset].coefficient, 0);
  return ["ewma", ...BASELINE_NAMES].map((engine) => {
    const rows = aggregates.filter((row) => row.horizon === horizon && row.engine === engine);
    const weighted = rows.reduce((sum, { asset, meanScore }) => sum + ASSETS[asset].coefficient * meanScore!, 0);
    const comparisons = othersThan(engine).map((baseline, i) => ({
      baseline,
      prompts: 306,
      ...ratios(0.9158 + 0.03 * i),
    }));
    return {
      horizon,
      engine,
      isBaseline: engine !== "ewma",
      assets,
      prompts: 306,
      weightedScore: weighted / weight,
      comparisons,
    };
  });
}

const FAN_SDS = [-2.326, -1.645, -1.282, -0.674, 0, 0.674, 1.282, 1.645, 2.326];

function example(horizon: Horizon, start: string): ReportExample {
  const stepSeconds = horizon === "24h" ? 300 : 60;
  const points = horizon === "24h" ? 289 : 61;
  const steps = Array.from({ length: points }, (_, i) => i);
  const wiggle = (i: number, phase: number): number =>
    100_000 + 90 * Math.sqrt(i) * Math.sin(i / 17 + phase) + 20 * Math.sin(i * 1.7);
  return {
    asset: "BTC",
    start,
    horizon,
    engine: "ewma",
    resolution: horizon === "24h" ? "5m" : "1m",
    stepSeconds,
    anchorPrice: 100_000,
    total: 812.34,
    offsetsSeconds: steps.map((i) => i * stepSeconds),
    bands: FAN_PERCENTS.map((percent, k) => ({
      percent,
      prices: steps.map((i) => 100_000 + FAN_SDS[k]! * 110 * Math.sqrt(i)),
    })),
    // The last point and one in the middle were never traded.
    realised: steps.map((i) => (i === points - 1 || i === 30 ? null : wiggle(i, 0))),
    samplePaths: [1, 2, 3].map((phase) => steps.map((i) => wiggle(i, phase))),
  };
}
