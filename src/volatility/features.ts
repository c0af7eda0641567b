import { MINUTE_STEP_SECONDS } from "../market/candle.ts";
import type { VolatilityState } from "./state.ts";

/** Returns over one bar length that a state's candles give: only between closes exactly one bar apart. */
export interface BarReturns {
  /** Open times of the bars, seconds, ascending. */
  readonly openTime: Float64Array;
  readonly logReturn: Float64Array;
}

/** `stepSeconds`: a whole number of minutes; the bars close at its multiples. */
export function barReturns({ candles, warmFrom }: VolatilityState, stepSeconds: number): BarReturns {
  const { openTime, close } = candles;
  const times: number[] = [];
  const returns: number[] = [];
  let previous = -1;
  for (let i = 0; i < openTime.length; i++) {
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
 * Exponentially weighted means of |log return| over its weekly factor, one per half-life, with their bias corrected (weights
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
    const size = Math.abs(logReturn[i]!) / factorAt(openTime[i]!);
    for (let k = 0; k < decays.length; k++) {
      sums[k] = decays[k]! * sums[k]! + size;
      masses[k] = decays[k]! * masses[k]! + 1;
    }
  }
  return sums.map((sum, k) => sum / masses[k]!);
}

/** Share of exactly unchanged closes among the newest `count` bars; null with fewer bars than that. */
export function zeroShare({ logReturn }: BarReturns, count: number): number | null {
  if (logReturn.length < count) return null;
  return logReturn.subarray(-count).reduce((zeros, value) => zeros + (value === 0 ? 1 : 0), 0) / count;
}
