import { MINUTE_STEP_SECONDS } from "../market/candle.ts";
import { SECONDS_PER_HOUR } from "../units.ts";
import type { VolatilityState } from "./state.ts";

const STILL_SECONDS = SECONDS_PER_HOUR;

/** Returns over one bar length that a state's candles give: only between closes exactly one bar apart. */
export interface BarReturns {
  /** Open times of the bars, seconds, ascending. */
  readonly openTime: Float64Array;
  readonly logReturn: Float64Array;
}

/** `stepSeconds`: a whole number of minutes; the bars close at its multiples. */
export function barReturns({ candles, warmFrom, sourceBorders }: VolatilityState, stepSeconds: number): BarReturns {
  const { openTime, close } = candles;
  const times: number[] = [];
  const returns: number[] = [];
  const borders = new Set(sourceBorders);
  let previous = -1;
  for (let i = 0; i < openTime.length; i++) {
    if (borders.has(openTime[i]!)) previous = -1;
    const closeTime = openTime[i]! + MINUTE_STEP_SECONDS;
    if (openTime[i]! < warmFrom || closeTime % stepSeconds !== 0) continue;
    if (previous >= 0 && openTime[i]! - openTime[previous]! === stepSeconds) {
      times.push(closeTime - stepSeconds);
      returns.push(Math.log(close[i]! / close[previous]!));
    }
    previous = i;
  }
  return { openTime: Float64Array.from(times), logReturn: Float64Array.from(returns) };
}

/**
 * Exponentially weighted means of |log return| over those of its weekly factor, one per half-life, with their bias corrected (weights
 * sum to one from the first bar on). Time is counted in bars that were seen: a closed market's last hours stand until it
 * opens again. Robust where squares are not (they chase outliers); the heterogeneous horizons are those of Corsi (2009).
 */
export function multiScaleLevels(
  { openTime, logReturn }: BarReturns,
  factorAt: (openTime: number) => number,
  scale: { readonly stepSeconds: number; readonly halfLifeSeconds: readonly number[] },
): Float64Array {
  const { stepSeconds, halfLifeSeconds } = scale;
  const decays = halfLifeSeconds.map((halfLife) => 2 ** (-stepSeconds / halfLife));
  const sums = new Float64Array(decays.length);
  const masses = new Float64Array(decays.length);
  for (let i = 0; i < openTime.length; i++) {
    const size = Math.abs(logReturn[i]!);
    const factor = factorAt(openTime[i]!);
    for (let k = 0; k < decays.length; k++) {
      sums[k] = decays[k]! * sums[k]! + size;
      masses[k] = decays[k]! * masses[k]! + factor;
    }
  }
  return sums.map((sum, k) => sum / masses[k]!);
}

/**
 * 1 for bars in a run of unchanged closes of an hour or more: a feed that stands still or a market that is closed, which
 * says nothing of how much an open one moves.
 */
export function stillBars({ logReturn }: BarReturns, stepSeconds: number): Uint8Array {
  const still = new Uint8Array(logReturn.length);
  let from = 0;
  for (let i = 0; i <= logReturn.length; i++) {
    if (i < logReturn.length && logReturn[i] === 0) continue;
    if ((i - from) * stepSeconds >= STILL_SECONDS) still.fill(1, from, i);
    from = i + 1;
  }
  return still;
}

/** The bars that are not marked. */
export function withoutBars({ openTime, logReturn }: BarReturns, marked: Uint8Array): BarReturns {
  return {
    openTime: openTime.filter((_, i) => marked[i] === 0),
    logReturn: logReturn.filter((_, i) => marked[i] === 0),
  };
}

/** Share of unchanged closes among the newest `most` bars that `counts`; null with fewer than `least` of them. */
export function zeroShare(
  { openTime, logReturn }: BarReturns,
  counts: (openTime: number) => boolean,
  { least, most }: { readonly least: number; readonly most: number },
): number | null {
  let seen = 0;
  let zeros = 0;
  for (let i = logReturn.length - 1; i >= 0 && seen < most; i--) {
    if (!counts(openTime[i]!)) continue;
    seen++;
    if (logReturn[i] === 0) zeros++;
  }
  return seen < least ? null : zeros / seen;
}
