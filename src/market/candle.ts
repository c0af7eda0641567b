import type { UnixSeconds } from "../units.ts";

/**
 * One bar. `openTime` is the bar's open in UTC seconds, a multiple of its step; prices in the asset's quote currency.
 * `volume` is null where the feed has none. A bar is known only once it has closed.
 */
export interface Candle {
  readonly openTime: UnixSeconds;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly volume: number | null;
}

export const MINUTE_STEP_SECONDS = 60;
export const FIVE_MINUTE_STEP_SECONDS = 300;

/** True when the bar that opens at `openTime` has closed and its publisher has had `publishDelaySeconds` to show it. */
export function isClosed(
  openTime: number,
  options: { stepSeconds: number; nowSeconds: number; publishDelaySeconds: number },
): boolean {
  return options.nowSeconds >= openTime + options.stepSeconds + options.publishDelaySeconds;
}

/** Prices that can be a bar: finite, positive, and low <= open, close <= high. */
export function isValidCandle(candle: Candle): boolean {
  const { open, high, low, close } = candle;
  return (
    Number.isSafeInteger(candle.openTime) &&
    [open, high, low, close].every((price) => Number.isFinite(price) && price > 0) &&
    low <= Math.min(open, close) &&
    high >= Math.max(open, close)
  );
}
