import { MINUTE_STEP_SECONDS } from "../../market/candle.ts";
import type { CandleColumns } from "../../volatility/state.ts";

/** Closes of 1-minute candles by their open times, ascending. */
export type Closes = Pick<CandleColumns, "openTime" | "close">;

/** Fewer unchanged closes in a row happen in a calm market. */
const FROZEN_CLOSES = 30;

/** Without the closes that a feed only repeated: all of a run of 30 or more that are as the one before them. */
export function withoutFrozen({ openTime, close }: Closes): Closes {
  const kept = close.slice();
  let first = 0;
  for (let i = 1; i <= close.length; i++) {
    if (i < close.length && close[i] === close[first]) continue;
    if (i - 1 - first >= FROZEN_CLOSES) kept.fill(NaN, first + 1, i);
    first = i;
  }
  return { openTime, close: kept };
}

function indexOf({ openTime }: Closes, time: number): number {
  let low = 0;
  let high = openTime.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (openTime[middle]! < time) low = middle + 1;
    else high = middle;
  }
  return openTime[low] === time ? low : -1;
}

/** Prices at `points` grid times: the close of the minute that holds each time (as validators have it); NaN without one. */
export function realisedCloses(
  closes: Closes,
  grid: { readonly startTime: number; readonly stepSeconds: number; readonly points: number },
): Float64Array {
  return Float64Array.from({ length: grid.points }, (_, point) => {
    const time = grid.startTime + point * grid.stepSeconds;
    return closes.close[indexOf(closes, time - (time % MINUTE_STEP_SECONDS))] ?? NaN;
  });
}
