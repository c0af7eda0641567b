import type { Clock } from "../clock.ts";
import { OperationalError } from "../errors.ts";
import { ASSETS, type AssetSymbol, type Listing, type SourceName } from "../market/assets.ts";
import { isClosed, isValidCandle, MINUTE_STEP_SECONDS, type Candle } from "../market/candle.ts";
import { millisToSeconds, SECONDS_PER_DAY, unixSeconds } from "../units.ts";
import type { CandleRange } from "./feed.ts";
import type { HostDeps } from "./http.ts";

/** Plain counts under stable keys such as `price/BTC/binance/feed/timeout`. */
export type FeedCounters = Map<string, number>;

export interface SourceDeps extends HostDeps {
  /** The market clock: which candles have closed, and when a quote held. */
  readonly clock: Clock;
  readonly publishDelaySeconds: number;
  readonly priceTimeoutMs: number;
  readonly counters: FeedCounters;
}

/** More history than any warm-up needs; a longer range is a mistake that would hammer a host. */
const MAX_RANGE_SECONDS = 62 * SECONDS_PER_DAY;

export function count(counters: FeedCounters, key: string, by = 1): void {
  counters.set(key, (counters.get(key) ?? 0) + by);
}

/** Where `source` lists the asset. */
export function listingOf<Name extends SourceName>(
  asset: AssetSymbol,
  source: Name,
): Extract<Listing, { source: Name }> | undefined {
  return ASSETS[asset].listings.find(
    (listing): listing is Extract<Listing, { source: Name }> => listing.source === source,
  );
}

export function notListed(source: SourceName, asset: AssetSymbol): OperationalError {
  return new OperationalError("feed/not_listed", `${source} does not list ${asset}`, { details: { source, asset } });
}

export function badPayload(host: string, problem: string): OperationalError {
  return new OperationalError("feed/bad_payload", `${host} answered an unexpected payload: ${problem}`, {
    details: { host },
  });
}

export interface PagedFetch {
  readonly source: SourceName;
  readonly asset: AssetSymbol;
  readonly range: CandleRange;
  /** The longest range of one request; Infinity where the host bounds its answers by itself. */
  readonly minutesPerPage: number;
  /** The rows of one page; null stands for a row that could not be read. */
  fetchPage(page: CandleRange): Promise<readonly (Candle | null)[]>;
}

/** Asks page after page, up to the newest candle that can have closed; keeps what `selectCandles` keeps. */
export async function fetchPages(fetch: PagedFetch, deps: SourceDeps): Promise<readonly Candle[]> {
  const { source, asset, range, minutesPerPage } = fetch;
  const nowSeconds = millisToSeconds(deps.clock.nowMs());
  const end = Math.min(range.to, nowSeconds);
  if (end - range.from > MAX_RANGE_SECONDS) {
    const details = { source, asset, from: range.from, to: end };
    throw new OperationalError("feed/range_too_long", "more than 62 days of candles were asked at once", { details });
  }
  const rows: (Candle | null)[] = [];
  const pageSeconds = minutesPerPage * MINUTE_STEP_SECONDS;
  for (let from: number = range.from; from < end; from += pageSeconds) {
    const page = { from: unixSeconds(from), to: unixSeconds(Math.min(from + pageSeconds, end)) };
    rows.push(...(await fetch.fetchPage(page)));
  }
  const { candles, invalid } = selectCandles(rows, {
    range,
    nowSeconds,
    publishDelaySeconds: deps.publishDelaySeconds,
  });
  if (invalid > 0) {
    count(deps.counters, `invalid_candles/${asset}/${source}`, invalid);
    deps.logger.warn({ asset, source, invalid }, "Candles that cannot be were dropped");
  }
  return candles;
}

/**
 * Closed, valid candles of `range`, ascending, the last one published winning among duplicates. Rows that cannot be a
 * minute bar are counted, never repaired.
 */
export function selectCandles(
  rows: readonly (Candle | null)[],
  options: { range: CandleRange; nowSeconds: number; publishDelaySeconds: number },
): { readonly candles: readonly Candle[]; readonly invalid: number } {
  const { range, nowSeconds, publishDelaySeconds } = options;
  const byTime = new Map<number, Candle>();
  let invalid = 0;
  for (const row of rows) {
    if (row === null || !isMinuteCandle(row)) {
      invalid += 1;
      continue;
    }
    const known = isClosed(row.openTime, { stepSeconds: MINUTE_STEP_SECONDS, nowSeconds, publishDelaySeconds });
    if (known && row.openTime >= range.from && row.openTime < range.to) byTime.set(row.openTime, row);
  }
  const candles = [...byTime.values()].sort((left, right) => left.openTime - right.openTime);
  return { candles, invalid };
}

function isMinuteCandle(candle: Candle): boolean {
  const { volume, openTime } = candle;
  const volumeIsSane = volume === null || (Number.isFinite(volume) && volume >= 0);
  return isValidCandle(candle) && openTime % MINUTE_STEP_SECONDS === 0 && volumeIsSane;
}

/** A price that can be one; anything else is the host's fault. */
export function checkedPrice(price: number, host: string): number {
  if (!Number.isFinite(price) || price <= 0) throw badPayload(host, "the price is not a positive number");
  return price;
}
