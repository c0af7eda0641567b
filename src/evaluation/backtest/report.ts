import { z } from "zod";
import { ASSET_SYMBOLS } from "../../market/assets.ts";

/**
 * The JSON report of a backtest: the only definition of its shape. Scores are the validators' (bps, lower is better),
 * times ISO 8601 in UTC. A number that cannot be computed (too few prompts, no baseline) is null.
 */

export const SKIP_REASONS = ["no_candles", "segment_border", "short_history", "missing_points", "bad_prompt"] as const;
/** In the words of a table. */
export const SKIP_TEXTS: Readonly<Record<SkipReason, string>> = {
  no_candles: "no candle inside the prompt",
  segment_border: "the instrument changes inside the prompt (segment border)",
  short_history: "too little history of the same instrument before the start",
  missing_points: "too many realised prices missing",
  bad_prompt: "not a prompt that candles can answer (asset or grid)",
};

export const BASELINE_NAMES = ["reference", "trailing3d", "oracle"] as const;
/** In the words of a table. */
export const BASELINE_TEXTS: Readonly<Record<BaselineName, string>> = {
  reference: "reference miner (constant sigma of the subnet's own example)",
  trailing3d: "Gaussian with the standard deviation of the trailing three days",
  oracle: "Gaussian with the one constant sigma that is best in hindsight on this very span",
};

/** The information at the origin decides the tercile: the EWMA state's volatility, or the trailing one without it. */
export const SPLITS = [
  "volatility_low",
  "volatility_middle",
  "volatility_high",
  "weekday",
  "weekend",
  "us_session",
  "us_closed",
] as const;

export const HISTOGRAM_BINS = 20;
/** Quantiles of the fan, in percent. */
export const FAN_PERCENTS = [1, 5, 10, 25, 50, 75, 90, 95, 99] as const;

const number = z.number().nullable();
const count = z.int().min(0);
const asset = z.enum(ASSET_SYMBOLS);
const horizon = z.enum(["1h", "24h"]);
const resolution = z.enum(["1m", "5m"]);
const byName = z.record(z.string(), z.number());

const promptScore = z.strictObject({
  asset,
  /** ISO 8601. */
  start: z.string(),
  horizon,
  horizonSeconds: z.int().positive(),
  stepSeconds: z.int().positive(),
  /** An engine of --engines or a baseline. */
  engine: z.string(),
  /** Who simulated: differs from `engine` when it handed over. */
  answeredBy: z.string(),
  resolution,
  /** bps; priceCrps + volatilityCrps. */
  total: z.number(),
  priceCrps: z.number(),
  volatilityCrps: z.number(),
  /** By interval name (5min, 3hour, 24hour_abs, …), bps. */
  priceCrpsByInterval: byName,
  /** By block name (vol_60min, …), bps, unweighted. */
  volatilityCrpsByBlock: byName,
});

/** Paired comparison with one baseline on the same prompts; d = score of the engine - score of the baseline. */
const comparison = z.strictObject({
  baseline: z.enum(BASELINE_NAMES),
  prompts: count,
  /** Mean score of the engine / mean score of the baseline; below 1 the engine is better. */
  ratio: number,
  /** 95 % interval of the ratio: block bootstrap, blocks of one calendar day (UTC) of start times. */
  ratioLow: number,
  ratioHigh: number,
  /** Mean of d, bps. */
  meanDifference: number,
  /** Diebold-Mariano statistic of d with Newey-West variance. */
  dmStatistic: number,
  /** Two-sided, Student t with prompts - 1 degrees of freedom. */
  dmPValue: number,
  /** Lags of the Newey-West variance, in prompts. */
  dmLags: count,
});

/** PIT values of one kind of scored quantity, pooled over intervals and prompts. */
const calibration = z.strictObject({
  observations: count,
  /** Fraction of observations in the central 50, 80, 95 and 99 % intervals; null without observations. */
  coverage: z.strictObject({ "50": number, "80": number, "95": number, "99": number }),
  /** Counts in 20 equal bins of (0, 1); flat when calibrated. */
  pitHistogram: z.array(count).length(HISTOGRAM_BINS),
});

const aggregate = z.strictObject({
  asset,
  horizon,
  /** An engine of --engines or a baseline. */
  engine: z.string(),
  isBaseline: z.boolean(),
  prompts: count,
  /** Prompts that another engine answered, by "engine → engine: code". */
  handOvers: z.record(z.string(), count),
  meanScore: number,
  meanPriceCrps: number,
  meanVolatilityCrps: number,
  meanByInterval: byName,
  /** Empty for a baseline compared with itself only. */
  comparisons: z.array(comparison),
  /** Changes over the scored blocks (not the gaps), and the absolute prices. */
  calibration: z.strictObject({ change: calibration, absolute: calibration }),
  splits: z.array(
    z.strictObject({
      split: z.enum(SPLITS),
      prompts: count,
      meanScore: number,
      /** Ratio of means to each baseline within the split. */
      ratios: z.array(z.strictObject({ baseline: z.enum(BASELINE_NAMES), ratio: number })),
    }),
  ),
  /** Of the oracle: its constant. */
  sigmaPerHour: number,
});

/** Over the assets of one horizon: Σ coefficient · mean score / Σ coefficient, as the leaderboard weights assets. */
const total = z.strictObject({
  horizon,
  engine: z.string(),
  isBaseline: z.boolean(),
  assets: z.array(asset),
  prompts: count,
  weightedScore: number,
  /** Ratios of weighted means; intervals by the same bootstrap, days drawn for all assets at once. */
  comparisons: z.array(
    comparison.pick({ baseline: true, prompts: true, ratio: true, ratioLow: true, ratioHigh: true }),
  ),
});

const prices = z.array(z.number());

/** One prompt to look at: where the paths lay, and what happened. */
const example = z.strictObject({
  asset,
  start: z.string(),
  horizon,
  engine: z.string(),
  resolution,
  stepSeconds: z.int().positive(),
  anchorPrice: z.number(),
  total: z.number(),
  /** Seconds after the start of every grid point; the arrays below have as many numbers. */
  offsetsSeconds: z.array(z.int().min(0)),
  bands: z.array(z.strictObject({ percent: z.number(), prices })),
  realised: z.array(number),
  samplePaths: z.array(prices),
});

export const backtestReportSchema = z.strictObject({
  format: z.literal("synth-miner backtest"),
  version: z.literal(1),
  metadata: z.strictObject({
    /** ISO 8601, system time. */
    created: z.string(),
    commandLine: z.string(),
    packageVersion: z.string(),
    gitCommit: z.string().nullable(),
    nodeVersion: z.string(),
    seed: z.int().min(0),
    dataDirs: z.array(z.string()),
    /** ISO 8601 of the first and last start asked for; null where --prompts decides or no prompt fits. */
    from: z.string().nullable(),
    to: z.string().nullable(),
    strideSeconds: z.int().positive().nullable(),
    promptsFile: z.string().nullable(),
    engines: z.array(z.string()),
    baselines: z.array(z.enum(BASELINE_NAMES)),
    assets: z.array(asset),
    pathsPerPrompt: z.int().positive(),
    /** Interrupted: what is here is sound but not all that was asked for. */
    partial: z.boolean(),
    wallSeconds: z.number().min(0),
    workers: z.int().positive(),
    bootstrapDraws: z.int().positive(),
    /** Which candles answered, by asset and horizon. */
    resolutions: z.array(z.strictObject({ asset, horizon, resolution, prompts: count })),
    /** Sentences a reader must know, e.g. "24h prompts of BTC ran on 5-minute candles …". */
    notes: z.array(z.string()),
    prompts: z.strictObject({
      planned: count,
      scored: count,
      skipped: z.array(
        z.strictObject({ asset: z.string(), horizon: z.string(), reason: z.enum(SKIP_REASONS), prompts: count }),
      ),
    }),
  }),
  prompts: z.array(promptScore),
  aggregates: z.array(aggregate),
  totals: z.array(total),
  examples: z.array(example),
});

export type BacktestReport = z.infer<typeof backtestReportSchema>;
export type ReportMetadata = BacktestReport["metadata"];
export type ReportPrompt = z.infer<typeof promptScore>;
export type ReportAggregate = z.infer<typeof aggregate>;
export type ReportTotal = z.infer<typeof total>;
export type ReportExample = z.infer<typeof example>;
export type ReportComparison = z.infer<typeof comparison>;
export type ReportCalibration = z.infer<typeof calibration>;
export type SkipReason = (typeof SKIP_REASONS)[number];
export type BaselineName = (typeof BASELINE_NAMES)[number];
export type Split = (typeof SPLITS)[number];
export type Resolution = z.infer<typeof resolution>;
export type Horizon = z.infer<typeof horizon>;
