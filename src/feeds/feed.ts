import type { AssetSymbol, SourceName } from "../market/assets.ts";
import type { Candle } from "../market/candle.ts";
import type { UnixMillis, UnixSeconds } from "../units.ts";

/** A half-open range of candle open times, `[from, to)`. */
export interface CandleRange {
  readonly from: UnixSeconds;
  readonly to: UnixSeconds;
}

/** A price somebody published, and when it held. */
export interface Quote {
  readonly price: number;
  readonly source: SourceName;
  readonly asOfMs: UnixMillis;
}

/** Why a source could not be used this time; `code` is stable (counters, tests), `message` is for people. */
export interface SourceFailure {
  readonly source: SourceName;
  readonly code: string;
  readonly message: string;
}

/**
 * One public API as this project sees it. Both calls throw OperationalError (code, details) when the host fails; both
 * settle within the configured timeouts and retries.
 */
export interface Source {
  readonly name: SourceName;
  /** False where the source has no candle history for the asset. */
  hasCandles(asset: AssetSymbol): boolean;
  /** Closed, valid 1-minute candles whose open time is in `range`, ascending, no duplicates. Holes stay holes. */
  fetchCandles(asset: AssetSymbol, range: CandleRange, signal?: AbortSignal): Promise<readonly Candle[]>;
  hasPrice(asset: AssetSymbol): boolean;
  /** The latest price. One try, short timeout: it is called while a validator waits. */
  fetchPrice(asset: AssetSymbol, signal?: AbortSignal): Promise<Quote>;
}

export interface CandleAnswer {
  readonly candles: readonly Candle[];
  readonly source: SourceName;
  /** The preferred sources that were tried before and failed. */
  readonly failures: readonly SourceFailure[];
}

/**
 * The sources of each asset in their order: the first that answers wins, every fallback is logged and counted. Throws
 * OperationalError `feed/all_sources_failed` (details.failures) when none answers.
 */
export interface MarketFeed {
  candles(asset: AssetSymbol, range: CandleRange, signal?: AbortSignal): Promise<CandleAnswer>;
  price(asset: AssetSymbol, signal?: AbortSignal): Promise<Quote>;
}
