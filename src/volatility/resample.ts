import { FIVE_MINUTE_STEP_SECONDS, MINUTE_STEP_SECONDS, type Candle } from "../market/candle.ts";
import { unixSeconds, type UnixSeconds } from "../units.ts";
import type { OpenBucket } from "./state.ts";

export interface Resampled {
  /** Five-minute bars that this minute completed, oldest first; at most two (an overdue one and its own). */
  readonly completed: readonly OpenBucket[];
  readonly open: OpenBucket | null;
}

function bucketTime(openTime: number): UnixSeconds {
  return unixSeconds(openTime - (openTime % FIVE_MINUTE_STEP_SECONDS));
}

/** OHLC of the bucket with one more minute; the volume is unknown (NaN) as soon as one minute's is. */
function withMinute(bucket: OpenBucket | null, candle: Candle): OpenBucket {
  const volume = candle.volume ?? NaN;
  if (bucket === null) {
    const { open, high, low, close } = candle;
    return { openTime: bucketTime(candle.openTime), open, high, low, close, volume, minutes: 1 };
  }
  return {
    openTime: bucket.openTime,
    open: bucket.open,
    high: Math.max(bucket.high, candle.high),
    low: Math.min(bucket.low, candle.low),
    close: candle.close,
    volume: bucket.volume + volume,
    minutes: bucket.minutes + 1,
  };
}

/**
 * Takes one 1-minute candle, later than all before it, into the open five-minute bucket. A bucket is complete when its
 * fifth minute arrived, or a candle of a later bucket did; minutes that never came are simply not in it.
 */
export function addMinute(open: OpenBucket | null, candle: Candle): Resampled {
  const overdue = open !== null && open.openTime !== bucketTime(candle.openTime) ? [open] : [];
  const bucket = withMinute(overdue.length > 0 ? null : open, candle);
  const lastMinute = bucket.openTime + FIVE_MINUTE_STEP_SECONDS - MINUTE_STEP_SECONDS;
  return candle.openTime === lastMinute
    ? { completed: [...overdue, bucket], open: null }
    : { completed: overdue, open: bucket };
}

/**
 * A five-minute bar as `advance` can take it where no minutes exist: as its own last minute. Its close is then known at
 * the same time, and the bucket is complete at once, so `sigma2FiveMinute` is what the five minutes would have made it,
 * to the last bit. `sigma2Minute` sees one return over five steps (r²/5 each): a rough value, which only horizons below
 * five minutes a step would read. `candleCount` counts bars.
 */
export function lastMinuteOf(bar: Candle): Candle {
  return { ...bar, openTime: unixSeconds(bar.openTime + FIVE_MINUTE_STEP_SECONDS - MINUTE_STEP_SECONDS) };
}
