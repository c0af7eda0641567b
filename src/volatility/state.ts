import type { AssetSymbol, SourceName } from "../market/assets.ts";
import type { UnixSeconds } from "../units.ts";

/** Version of the volatility state on disk. Raise it with every change of meaning or shape. */
export const VOLATILITY_STATE_SCHEMA = 2;

/**
 * An exponentially weighted mean with its bias correction: `value / mass` is the estimate; `mass` is the sum of the
 * weights so far (0 before the first observation, towards 1 afterwards).
 */
export interface EwmaMoment {
  readonly value: number;
  readonly mass: number;
}

/** Bars as columns of equal length, ascending open times (UTC seconds); NaN volume where the feed has none. */
export interface CandleColumns {
  readonly openTime: Float64Array;
  readonly open: Float64Array;
  readonly high: Float64Array;
  readonly low: Float64Array;
  readonly close: Float64Array;
  readonly volume: Float64Array;
}

/** A five-minute bar whose last minute has not been seen yet. */
export interface OpenBucket {
  readonly openTime: UnixSeconds;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly volume: number;
  /** Minutes seen so far, 1 to 5. */
  readonly minutes: number;
}

/** The long-run statistics behind the weekly profile (see seasonality.ts). Columns of weighted sums, 33 KB. */
export interface SeasonalityStats {
  /** Sums and weights of |log return| over its level, by five-minute bin of the New York week. */
  readonly weekSum: Float64Array;
  readonly weekWeight: Float64Array;
  /** The same of 1-minute returns, by minute of the hour. */
  readonly minuteSum: Float64Array;
  readonly minuteWeight: Float64Array;
  /** Slow means of |log return| per five-minute bar and per minute. */
  readonly levelFiveMinute: EwmaMoment;
  readonly levelMinute: EwmaMoment;
  /** Close time of the newest bar counted, seconds: a warm-up that is repeated counts no bar twice. */
  readonly until: number;
}

/** What the updater knows about one asset. Everything an engine may read; the updater is its only writer. */
export interface VolatilityState {
  readonly schema: typeof VOLATILITY_STATE_SCHEMA;
  readonly asset: AssetSymbol;
  /** Source of the newest candle. */
  readonly source: SourceName;
  /** Open time of the first candle since the last (re)start of the warm-up. */
  readonly warmFrom: UnixSeconds;
  /** 1-minute candles taken in since `warmFrom`. */
  readonly candleCount: number;
  /** Runs of missing minutes since `warmFrom`. */
  readonly gapCount: number;
  /** Per-step variances of log returns: of one minute, and of one five-minute bar. */
  readonly sigma2Minute: EwmaMoment;
  readonly sigma2FiveMinute: EwmaMoment;
  /** Half-lives the moments were advanced with, in seconds; a change of configuration restarts the warm-up. */
  readonly halfLifeMinuteSeconds: number;
  readonly halfLifeFiveMinuteSeconds: number;
  /** Open times of the first candles of another source, ascending, as long as they are kept: no return reaches back across. */
  readonly sourceBorders: readonly number[];
  readonly openBucket: OpenBucket | null;
  /** The last completed five-minute close, for the next five-minute return. */
  readonly lastFiveMinute: { readonly openTime: UnixSeconds; readonly close: number } | null;
  /** Outlives restarts of the warm-up: the rhythm of a market does not change with a gap in its candles. */
  readonly seasonality: SeasonalityStats;
  /** The newest seven days of 1-minute candles. The last one is the newest candle known. */
  readonly candles: CandleColumns;
}

/** Open time and close of the newest candle; null for a state without candles. */
export function newestCandle(state: VolatilityState): { openTime: UnixSeconds; close: number } | null {
  const last = state.candles.openTime.length - 1;
  if (last < 0) return null;
  return { openTime: state.candles.openTime[last]! as UnixSeconds, close: state.candles.close[last]! };
}
