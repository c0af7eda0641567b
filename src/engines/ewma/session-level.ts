import { usSessionShare } from "../../market/session.ts";
import { SECONDS_PER_MINUTE } from "../../units.ts";
import type { VolatilityState } from "../../volatility/state.ts";

/** Mean of the squared sigma multiplier over a span of which `share` lies in the regular session. */
export function meanSquareMultiplier(share: number, offHoursMultiplier: number): number {
  return share + (1 - share) * offHoursMultiplier * offHoursMultiplier;
}

/** Weights below this part of the newest one are left out: 14 half-lives. */
const NEGLIGIBLE_WEIGHT = 2 ** -14;

/**
 * The squared session multiplier as the state's variance has seen it: its mean over the returns behind the EWMA, with
 * the EWMA's own weights (a return that spans n minutes weighs (1 - 2^(-n/h)), as in the recursion). Dividing the
 * variance by it gives the level of the regular session, whether the state was fed by day, by night or both; the
 * multiplier of each simulated step is then relative to that level.
 */
export function sessionMeanSquare(
  state: VolatilityState,
  options: { halfLifeSeconds: number; offHoursMultiplier: number },
): number {
  const { halfLifeSeconds, offHoursMultiplier } = options;
  if (offHoursMultiplier === 1) return 1;
  const { openTime } = state.candles;
  let weighted = 0;
  let total = 0;
  let decay = 1;
  for (let i = openTime.length - 1; i > 0 && openTime[i - 1]! >= state.warmFrom && decay > NEGLIGIBLE_WEIGHT; i--) {
    const from = openTime[i - 1]! + SECONDS_PER_MINUTE;
    const to = openTime[i]! + SECONDS_PER_MINUTE;
    const kept = 2 ** (-(to - from) / halfLifeSeconds);
    const weight = decay * (1 - kept);
    weighted += weight * meanSquareMultiplier(usSessionShare(from, to), offHoursMultiplier);
    total += weight;
    decay *= kept;
  }
  return total > 0 ? weighted / total : 1;
}
