import { FIVE_MINUTE_STEP_SECONDS } from "../market/candle.ts";
import { SECONDS_PER_DAY, SECONDS_PER_HOUR } from "../units.ts";
import { minuteBin, weightAt, WEEK_BINS, weekBin } from "./seasonality.ts";
import type { SeasonalityStats } from "./state.ts";

/**
 * The weekly rhythm of an asset as factors on the standard deviation of a return: of five minutes by bin of the New York
 * week (`week`, mean 1 over the bins that trade), and of one minute within its five (`minute`, mean 1 in every five).
 */
export interface WeeklyProfile {
  readonly week: Float64Array;
  readonly minute: Float64Array;
}

/** What was learned offline: means by bin, and how many observations each is worth. */
export interface ProfilePrior {
  readonly week: Float64Array;
  readonly weekWeight: Float64Array;
  readonly minute: Float64Array;
  /** Of every minute of the hour. */
  readonly minuteWeight: number;
}

const BINS_PER_DAY = SECONDS_PER_DAY / FIVE_MINUTE_STEP_SECONDS;
const BINS_PER_HOUR = SECONDS_PER_HOUR / FIVE_MINUTE_STEP_SECONDS;
const WEEKDAYS = 5;
/** Standard deviations of the smoothing kernels in bins: 30 minutes for what the minute of the hour is relative to, */
const HOUR_BANDWIDTH = 6;
/** 15 minutes along the mean day of a kind, 45 for a day's own deviation from it. */
const DAY_BANDWIDTH = 3;
const DEVIATION_BANDWIDTH = 9;
/** Observations that hold a day's own deviation to the mean of its kind (weekday, weekend). */
const DEVIATION_SHRINKAGE = 100;
/** Observations of "factor 1" (off hours: the multiplier) that every bin starts with. */
const STRUCTURAL_WEIGHT = 0.5;
/** Observations that hold the minutes of the hour to their mean. */
const MINUTE_SHRINKAGE = 50;
const MIN_FACTOR = 0.02;
const MAX_FACTOR = 8;

/** Circular convolution with a normalised Gaussian kernel, cut at four standard deviations. */
export function smoothCircular(values: Float64Array, bandwidth: number): Float64Array {
  const { length } = values;
  const reach = Math.min(Math.ceil(4 * bandwidth), Math.floor((length - 1) / 2));
  const kernel = Array.from({ length: 2 * reach + 1 }, (_, i) => Math.exp(-0.5 * ((i - reach) / bandwidth) ** 2));
  const total = sum(kernel);
  const wrapped = Float64Array.from({ length: length + 2 * reach }, (_, i) => values[(i - reach + length) % length]!);
  return values.map((_, at) => {
    let smoothed = 0;
    for (let i = 0; i < kernel.length; i++) smoothed += kernel[i]! * wrapped[at + i]!;
    return smoothed / total;
  });
}

/**
 * The factors from live statistics and what was learned before. Means by bin are pooled with their numbers of
 * observations and smoothed with them (so that bins without a trade take their neighbours' factor): first weekdays
 * together and weekends together, then each day's own deviation, shrunk; on top of a factor by minute of the hour.
 * `sessionShare`, by bin: the part inside the regular session where off hours are quieter by `offHoursMultiplier` unless
 * the statistics say otherwise; null for markets without sessions.
 */
export function weeklyProfile(
  stats: SeasonalityStats,
  prior: ProfilePrior | null,
  sessions: { readonly share: Float64Array; readonly offHoursMultiplier: number } | null,
): WeeklyProfile {
  const newest = stats.until > 0 ? weightAt(stats.until) : 1;
  const structure = sessions
    ? sessions.share.map((share, bin) => {
        // A weekend is to a weekday's night what that is to the session.
        const closed = sessions.offHoursMultiplier ** (bin < WEEKDAYS * BINS_PER_DAY ? 1 : 2);
        return share + (1 - share) * closed;
      })
    : new Float64Array(WEEK_BINS).fill(1);
  const { means, weights } = pool(stats, { prior, structure, newest });
  return { week: smoothWeek(means, { weights, sessions }), minute: minuteFactors(stats, prior, newest) };
}

/** Means by bin of the week and their weights in observations. */
function pool(
  stats: SeasonalityStats,
  { prior, structure, newest }: { prior: ProfilePrior | null; structure: Float64Array; newest: number },
): { means: Float64Array; weights: Float64Array } {
  const layers: { mean: Float64Array; weight: Float64Array }[] = [
    { mean: structure, weight: new Float64Array(WEEK_BINS).fill(STRUCTURAL_WEIGHT) },
  ];
  if (prior) layers.push({ mean: prior.week, weight: prior.weekWeight });
  const live = {
    mean: stats.weekSum.map((own, bin) => (stats.weekWeight[bin]! > 0 ? own / stats.weekWeight[bin]! : 0)),
    weight: stats.weekWeight.map((weight) => weight / newest),
  };
  layers.push(live);
  // Each layer is relative to a level of its own: brought to the level of those before it where both have observations.
  let means = layers[0]!.mean.slice();
  let weights = layers[0]!.weight.slice();
  for (const { mean, weight } of layers.slice(1)) {
    // By harmonic weights: a bin that one of the two hardly knows says little of their levels.
    const both = weight.map((own, bin) => (own > 0 ? (own * weights[bin]!) / (own + weights[bin]!) : 0));
    const level = ratioOfSums(mean, means, both);
    if (!(level > 0)) continue;
    means = means.map((own, bin) => {
      const total = weights[bin]! + weight[bin]!;
      return (own * weights[bin]! + (mean[bin]! / level) * weight[bin]!) / total;
    });
    weights = weights.map((own, bin) => own + weight[bin]!);
  }
  return { means, weights };
}

/** sum(w·a) / sum(w·b). */
function ratioOfSums(a: Float64Array, b: Float64Array, weights: Float64Array): number {
  let above = 0;
  let below = 0;
  for (let i = 0; i < weights.length; i++) {
    above += weights[i]! * a[i]!;
    below += weights[i]! * b[i]!;
  }
  return below > 0 ? above / below : 0;
}

function smoothWeek(
  means: Float64Array,
  { weights, sessions }: { weights: Float64Array; sessions: { readonly share: Float64Array } | null },
): Float64Array {
  const hour = hourFactors(means, weights);
  const flat = means.map((mean, bin) => mean / hour[bin % BINS_PER_HOUR]!);
  const sums = flat.map((mean, bin) => mean * weights[bin]!);
  const kinds = [
    [0, WEEKDAYS],
    [WEEKDAYS, 7],
  ] as const;
  const day = new Float64Array(WEEK_BINS);
  for (const [from, to] of kinds) {
    const above = smoothCircular(foldDays(sums, from, to), DAY_BANDWIDTH);
    const below = smoothCircular(foldDays(weights, from, to), DAY_BANDWIDTH);
    for (let bin = from * BINS_PER_DAY; bin < to * BINS_PER_DAY; bin++) {
      day[bin] = above[bin % BINS_PER_DAY]! / below[bin % BINS_PER_DAY]!;
    }
  }
  // The kernel holds about 2·sqrt(pi)·bandwidth bins' worth of observations.
  const observed = smoothCircular(sums, DEVIATION_BANDWIDTH);
  const expected = smoothCircular(
    day.map((factor, bin) => factor * weights[bin]!),
    DEVIATION_BANDWIDTH,
  );
  const effective = smoothCircular(weights, DEVIATION_BANDWIDTH);
  const factors = day.map((factor, bin) => {
    const count = effective[bin]! * DEVIATION_BANDWIDTH * 2 * Math.sqrt(Math.PI);
    const deviation = observed[bin]! / expected[bin]!;
    return (
      factor * ((deviation * count + DEVIATION_SHRINKAGE) / (count + DEVIATION_SHRINKAGE)) * hour[bin % BINS_PER_HOUR]!
    );
  });
  const level = ratioOfSums(factors, new Float64Array(WEEK_BINS).fill(1), sessions?.share ?? weights);
  return factors.map((factor) => Math.min(Math.max(factor / level, MIN_FACTOR), MAX_FACTOR));
}

/** Sums of the same bin of several days. */
function foldDays(values: Float64Array, from: number, to: number): Float64Array {
  const folded = new Float64Array(BINS_PER_DAY);
  for (let bin = from * BINS_PER_DAY; bin < to * BINS_PER_DAY; bin++) folded[bin % BINS_PER_DAY]! += values[bin]!;
  return folded;
}

/** Twelve factors by five minutes of the hour, relative to the smoothed week, of mean 1. */
function hourFactors(means: Float64Array, weights: Float64Array): Float64Array {
  const sums = means.map((mean, bin) => mean * weights[bin]!);
  const smoothSums = smoothCircular(sums, HOUR_BANDWIDTH);
  const smoothWeights = smoothCircular(weights, HOUR_BANDWIDTH);
  const above = new Float64Array(BINS_PER_HOUR);
  const below = new Float64Array(BINS_PER_HOUR);
  for (let bin = 0; bin < WEEK_BINS; bin++) {
    above[bin % BINS_PER_HOUR]! += sums[bin]!;
    below[bin % BINS_PER_HOUR]! += (weights[bin]! * smoothSums[bin]!) / smoothWeights[bin]!;
  }
  const factors = above.map((own, i) => own / below[i]!);
  const mean = sum(factors) / BINS_PER_HOUR;
  return factors.map((factor) => factor / mean);
}

/** Factors by minute of the hour, each five with mean 1. */
function minuteFactors(stats: SeasonalityStats, prior: ProfilePrior | null, newest: number): Float64Array {
  const priorWeight = prior?.minuteWeight ?? 0;
  const means = stats.minuteSum.map((own, minute) => {
    const learned = priorWeight * (prior?.minute[minute] ?? 1) + MINUTE_SHRINKAGE;
    return (own / newest + learned) / (stats.minuteWeight[minute]! / newest + priorWeight + MINUTE_SHRINKAGE);
  });
  return means.map((mean, minute) => {
    const first = minute - (minute % 5);
    return mean / (sum(means.subarray(first, first + 5)) / 5);
  });
}

/** The factor of a return that opens at `time` (unix seconds) and spans one minute, or five and more. */
export function seasonalFactor({ week, minute }: WeeklyProfile, time: number, stepSeconds: number): number {
  const factor = week[weekBin(time)]!;
  return stepSeconds < FIVE_MINUTE_STEP_SECONDS ? factor * minute[minuteBin(time)]! : factor;
}

function sum(values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i]!;
  return total;
}
