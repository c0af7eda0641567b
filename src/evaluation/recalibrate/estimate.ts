import { factorAt } from "../../engines/recalibration.ts";
import { MAX_FACTOR, MIN_FACTOR, type DayStatistics, type LengthStatistics } from "../../store/recalibration-store.ts";
import { SECONDS_PER_DAY } from "../../units.ts";
import { MEAN_ABSOLUTE_NORMAL } from "./normal-score.ts";

const HALF_LIFE_DAYS = 7;
/** Fewer effective blocks say nothing: at 100 the mean |z| is known to 7.5 %. */
const MIN_BLOCKS = 100;
/**
 * Of a day or longer there are never more than some 20 effective blocks at this half-life. Beside a shorter length's factor
 * that is enough: the shrinkage believes 6 % of what 20 say and 2 % of what 5 say, so that their noise moves it by 1 %.
 */
const MIN_DAY_BLOCKS = 5;
/**
 * Effective blocks at which half of what is seen is believed. Simulated with this estimator (see the tests): a
 * calibrated model pays less than .02 % of CRPS for the factor's noise at any age, and one whose sigma is 10 % off gets
 * most of its loss back within five days.
 */
const SHRINKAGE_BLOCKS = 300;
/** sd of |z| over its mean, squared: π/2 - 1. */
const RELATIVE_VARIANCE = Math.PI / 2 - 1;
/**
 * What is supposed of the error that all blocks of one day share, until the days tell: a standard deviation of 10 % of
 * sigma, worth as much as three days of observations.
 */
const PRIOR_DAY_ERROR = 0.1;
const PRIOR_DAYS = 3;

type Days = readonly DayStatistics[];

interface LengthDays {
  readonly seconds: number;
  readonly days: Days;
}

/**
 * Factors of the lengths, ascending. With m_d the mean of |z|·f over a day's blocks, D_d its different blocks and
 * w_d = 2^(-age / 7 days),
 *
 *     raw = sqrt(π/2) · Σ w D m / Σ w D,   n = (Σ w D)² / (Σ w² D) / deff,   log factor = s + (log raw - s) · n / (n + 300),
 *
 * where s is the log factor of the next shorter length (0 for the shortest), and deff tells how much more the days' means
 * scatter than independent blocks would: volatility forecasts are wrong for whole days at a time.
 */
export function estimateFactors(lengths: readonly LengthDays[]): LengthStatistics[] {
  let shorter: number | null = null;
  const estimated = lengths.map(({ seconds, days }): LengthStatistics => {
    const { raw, effectiveBlocks } = summarise(days);
    const isDay = seconds >= SECONDS_PER_DAY && shorter !== null;
    const enough = raw !== null && effectiveBlocks >= (isDay ? MIN_DAY_BLOCKS : MIN_BLOCKS);
    if (enough) {
      const from = Math.log(shorter ?? 1);
      const share = effectiveBlocks / (effectiveBlocks + SHRINKAGE_BLOCKS);
      shorter = bounded(Math.exp(from + (Math.log(raw) - from) * share));
    }
    const basis = enough ? "own" : shorter === null ? "too_few" : "shorter";
    return { seconds, days: [...days], raw, effectiveBlocks, factor: shorter, basis };
  });
  return estimated.map((length, i) => withinReach(length, estimated[i - 1], estimated[i + 1]));
}

/**
 * A length that does not divide the next is corrected by the correlation of adjacent steps alone, which reaches so far from what
 * its neighbours give it. What could not be applied would be recorded all the same, and feed on itself.
 */
const MAX_APART = 1.04;

function withinReach(
  length: LengthStatistics,
  shorter: LengthStatistics | undefined,
  longer: LengthStatistics | undefined,
): LengthStatistics {
  const { factor, seconds } = length;
  if (longer === undefined || longer.seconds % seconds === 0 || factor === null) return length;
  const neighbours = [shorter, longer].flatMap((one) =>
    one === undefined || one.factor === null ? [] : [{ seconds: one.seconds, factor: one.factor }],
  );
  const between = factorAt(neighbours, seconds);
  return { ...length, factor: Math.min(Math.max(factor, between / MAX_APART), between * MAX_APART) };
}

/** A run moves no factor further than this: a run on bad data does little harm before somebody looks. */
const MAX_CHANGE = 1.05;

/** The lengths with factors near those that were in use before (1 where there was none). */
export function boundChange(
  lengths: readonly LengthStatistics[],
  before: readonly LengthStatistics[],
): LengthStatistics[] {
  return lengths.map((length) => {
    const used = before.find(({ seconds }) => seconds === length.seconds)?.factor ?? 1;
    if (length.factor === null) return length;
    return { ...length, factor: Math.min(Math.max(length.factor, used / MAX_CHANGE), used * MAX_CHANGE) };
  });
}

function bounded(factor: number): number {
  return Math.min(Math.max(factor, MIN_FACTOR), MAX_FACTOR);
}

function summarise(days: Days): Pick<LengthStatistics, "raw" | "effectiveBlocks"> {
  const newest = days.at(-1)?.day ?? 0;
  const weighted = days.map(({ day, sum, blocks, distinct }) => {
    return { weight: 2 ** (-(newest - day) / HALF_LIFE_DAYS), mean: sum / blocks, distinct };
  });
  let mass = 0;
  let squares = 0;
  let sum = 0;
  for (const { weight, mean, distinct } of weighted) {
    mass += weight * distinct;
    squares += weight * weight * distinct;
    sum += weight * distinct * mean;
  }
  const mean = sum / mass;
  if (!(mean > 0 && Number.isFinite(mean))) return { raw: null, effectiveBlocks: 0 };
  const effectiveBlocks = (mass * mass) / squares / designEffect(weighted, mean);
  return { raw: mean / MEAN_ABSOLUTE_NORMAL, effectiveBlocks };
}

/** Variance of the days' means over that of means of independent blocks, at least 1; shrunk to what is supposed. */
function designEffect(
  days: readonly { readonly weight: number; readonly mean: number; readonly distinct: number }[],
  mean: number,
): number {
  const perDay = days.reduce((sum, { distinct }) => sum + distinct, 0) / days.length;
  const prior = 1 + (perDay * PRIOR_DAY_ERROR * PRIOR_DAY_ERROR) / RELATIVE_VARIANCE;
  let scatter = 0;
  let degrees = -1;
  for (const day of days) {
    scatter += (day.weight * day.distinct * (day.mean / mean - 1) ** 2) / RELATIVE_VARIANCE;
    degrees += day.weight;
  }
  return Math.max(1, (PRIOR_DAYS * prior + scatter) / (PRIOR_DAYS + Math.max(0, degrees)));
}
