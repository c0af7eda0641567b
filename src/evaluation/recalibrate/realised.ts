import { MINUTE_STEP_SECONDS } from "../../market/candle.ts";
import type { CandleColumns } from "../../volatility/state.ts";

/** Closes of 1-minute candles by their open times, ascending. */
export type Closes = Pick<CandleColumns, "openTime" | "close">;

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
