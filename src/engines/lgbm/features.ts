import { MINUTE_STEP_SECONDS } from "../../market/candle.ts";
import { barReturns, type BarReturns } from "../../volatility/features.ts";
import type { VolatilityState } from "../../volatility/state.ts";
import { knowledgeOf, referenceSigma, weeklyFactor } from "../ewma/scale.ts";
import type { HorizonClass } from "../horizon.ts";
import { calendarOf, type FeatureBasis } from "../patchtst/features.ts";

/** Lead times that the boosters answer for, ascending. */
export const LEAD_SECONDS: Readonly<Record<HorizonClass, readonly number[]>> = {
  "1h": [60, 120, 300, 900, 1800, 3600],
  "24h": [300, 1800, 10_800, 86_400],
};

/** Numbers of newest bars that returns, sizes, ranges and places in the range are taken over. */
const RETURN_BARS = [1, 2, 3, 5, 10, 15, 30, 60, 120, 240];
const SIZE_BARS = [5, 15, 60, 240];
const RANGE_BARS = [1, 12, 60];
const PLACE_BARS = [60, 240];
/** Bars that the factors of the leads are relative to. */
const NOW_BARS = 12;
const MAX_BARS = 240;

/** What a prompt is looked at with. */
export interface LgbmBasis extends FeatureBasis {
  readonly leadSeconds: readonly number[];
}

/** Names of `lgbmFeatures`, in order; half-lives and leads in seconds, windows in bars. */
export function lgbmFeatureNames({ horizon, leadSeconds }: Pick<LgbmBasis, "horizon" | "leadSeconds">): string[] {
  return [
    ...horizon.halfLifeSeconds.map((seconds) => `level_${seconds}s`),
    ...RETURN_BARS.map((bars) => `return_${bars}`),
    ...SIZE_BARS.map((bars) => `size_${bars}`),
    ...RANGE_BARS.map((bars) => `range_${bars}`),
    ...PLACE_BARS.map((bars) => `place_${bars}`),
    "zero_share",
    "age",
    ...["day_sin", "day_cos", "week_sin", "week_cos"],
    ...leadSeconds.map((seconds) => `weekly_${seconds}s`),
  ];
}

/**
 * What the boosters see of a state and a start time, for training and serving alike; NaN: history too short.
 *
 * Bars are those of `barReturns` (base step; only bars whose own return is known), newest first: z_i the log return, f_i the
 * weekly factor, L the level of the slowest half-life (size of a bar's |log return| over its factor). With sums over the n newest bars:
 *
 *     level   x_k of the calibration, ln(level / reference)
 *     return  Σ z / (L √(Σ f²))             size   Σ |z| / (L Σ f)
 *     range   (top - bottom) / (L √(Σ f²))  place  of the last close between bottom (0) and top (1); NaN where they are one
 *
 * where top and bottom are the highest high and lowest low of the bars laid end to end by their returns, so that neither a
 * closed market's gap nor a change of source is in them. zero_share: bars with z = 0 among the newest 240 (or all there
 * are); age: ln(1 + (start - newest close) / step); the start's place in the New York day and week as sine and cosine;
 * weekly: ln of the root mean square factor of the base steps in (lead before, lead], over that of the newest 12 bars.
 * All are free of units. models/lgbm/FEATURES.md has them as a table.
 */
export function lgbmFeatures(
  state: VolatilityState,
  basis: LgbmBasis,
  startTime: number,
): Float32Array | { readonly code: string; readonly message: string } {
  const { horizon, weekly, offHoursMultiplier } = basis;
  const { stepSeconds } = horizon;
  const knowledge = knowledgeOf(state, horizon, { weekly, offHoursMultiplier });
  if ("code" in knowledge) return knowledge;
  const level = referenceSigma(state.asset, stepSeconds) * Math.exp(knowledge.features.at(-1)!);
  const factorAt = (time: number): number => weeklyFactor(knowledge.profile, time, { stepSeconds, offHoursMultiplier });
  const all = barReturns(state, stepSeconds);
  const bars = { openTime: all.openTime.slice(-MAX_BARS), logReturn: all.logReturn.slice(-MAX_BARS) };
  const windows = windowsOf(bars, barExtremes(state, bars, stepSeconds), factorAt);
  const over = (counts: readonly number[], value: (sums: Window) => number): number[] =>
    counts.map((count) => (count > windows.length ? NaN : value(windows[count - 1]!)));
  const newestClose = bars.openTime.at(-1)! + stepSeconds;
  const now = windows[Math.min(NOW_BARS, windows.length) - 1]!;
  const zeros = bars.logReturn.reduce((count, move) => count + (move === 0 ? 1 : 0), 0);
  return Float32Array.from([
    ...knowledge.features,
    ...over(RETURN_BARS, ({ move, factor2 }) => move / (level * Math.sqrt(factor2))),
    ...over(SIZE_BARS, ({ size, factor }) => size / (level * factor)),
    ...over(RANGE_BARS, ({ top, bottom, factor2 }) => (top - bottom) / (level * Math.sqrt(factor2))),
    ...over(PLACE_BARS, ({ top, bottom }) => (top > bottom ? -bottom / (top - bottom) : NaN)),
    zeros / bars.logReturn.length,
    Math.log1p((startTime - newestClose) / stepSeconds),
    ...calendarOf(startTime),
    ...leadFactors(basis, startTime, factorAt).map((mean) => Math.log(mean / Math.sqrt(now.factor2 / now.bars))),
  ]);
}

/** Sums over the newest bars; `top` and `bottom` in logs, relative to the last close. */
interface Window {
  readonly bars: number;
  readonly move: number;
  readonly size: number;
  readonly factor: number;
  readonly factor2: number;
  readonly top: number;
  readonly bottom: number;
}

/** Over the newest one, two, … bars. */
function windowsOf(
  { openTime, logReturn }: BarReturns,
  extremes: { readonly high: Float64Array; readonly low: Float64Array },
  factorAt: (openTime: number) => number,
): Window[] {
  const windows: Window[] = [];
  let [move, size, factor, factor2, top, bottom] = [0, 0, 0, 0, -Infinity, Infinity];
  for (let i = logReturn.length - 1; i >= 0; i--) {
    const own = factorAt(openTime[i]!);
    // The bar's close lies so far below the last one as the newer bars have moved since.
    top = Math.max(top, extremes.high[i]! - move);
    bottom = Math.min(bottom, extremes.low[i]! - move);
    move += logReturn[i]!;
    size += Math.abs(logReturn[i]!);
    factor += own;
    factor2 += own * own;
    windows.push({ bars: windows.length + 1, move, size, factor, factor2, top, bottom });
  }
  return windows;
}

/** ln(high / close) and ln(low / close) of each bar from the candles inside it, minutes or the bar itself as its last minute. */
function barExtremes(
  { candles }: VolatilityState,
  { openTime }: BarReturns,
  stepSeconds: number,
): { readonly high: Float64Array; readonly low: Float64Array } {
  const high = new Float64Array(openTime.length);
  const low = new Float64Array(openTime.length);
  let candle = candles.openTime.length - 1;
  for (let i = openTime.length - 1; i >= 0; i--) {
    const from = openTime[i]!;
    const last = from + stepSeconds - MINUTE_STEP_SECONDS;
    while (candles.openTime[candle]! > last) candle--;
    const close = candles.close[candle]!;
    let [top, bottom] = [close, close];
    for (; candle >= 0 && candles.openTime[candle]! >= from; candle--) {
      top = Math.max(top, candles.high[candle]!);
      bottom = Math.min(bottom, candles.low[candle]!);
    }
    high[i] = Math.log(top / close);
    low[i] = Math.log(bottom / close);
  }
  return { high, low };
}

/** Root mean square factor of the base steps between each lead and the one before. */
function leadFactors(
  { leadSeconds, horizon: { stepSeconds } }: LgbmBasis,
  startTime: number,
  factorAt: (openTime: number) => number,
): number[] {
  return leadSeconds.map((lead, k) => {
    const before = leadSeconds[k - 1] ?? 0;
    let sum = 0;
    for (let at = before; at < lead; at += stepSeconds) sum += factorAt(startTime + at) ** 2;
    return Math.sqrt((sum * stepSeconds) / (lead - before));
  });
}
