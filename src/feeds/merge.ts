import { systemClock, type Clock } from "../clock.ts";
import type { Config } from "../config/schema.ts";
import { describeError, OperationalError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { ASSETS, type AssetSymbol } from "../market/assets.ts";
import { MINUTE_STEP_SECONDS, type Candle } from "../market/candle.ts";
import { millisToSeconds, SECONDS_PER_HOUR } from "../units.ts";
import { timeLimit } from "../time-limit.ts";
import { createBinanceSource } from "./binance/client.ts";
import type { CandleAnswer, CandleRange, MarketFeed, Quote, Source, SourceFailure } from "./feed.ts";
import { createHyperliquidSource } from "./hyperliquid/client.ts";
import { createPythSource } from "./pyth/client.ts";
import { count, type FeedCounters } from "./source.ts";

/** Candles that end this long before they should: the next source is asked whether it knows more. */
const STALE_CANDLES_SECONDS = 600;
/** Of longer ranges the beginning counts too: Hyperliquid keeps the latest 5000 candles only, and a warm-up wants more. */
const LONG_RANGE_SECONDS = 12 * SECONDS_PER_HOUR;
/** History that begins this late, and by this share of the range, is short. */
const LATE_START_SECONDS = SECONDS_PER_HOUR;
const LATE_START_SHARE = 0.1;
/** How many times the minutes of a short history another source must have to stand in for it. */
const CLEARLY_MORE = 1.2;
/** How far apart two sources' prices may be to confirm each other. */
const AGREEMENT = 0.02;

export interface SourcesDeps {
  /** The market clock. */
  readonly clock: Clock;
  readonly logger: Logger;
  readonly publishDelaySeconds: number;
  readonly counters?: FeedCounters;
  readonly wallClock?: Clock;
  /** Uniform in [0, 1): jitter of the back-off, nothing else. */
  readonly random?: () => number;
}

/** The three public APIs, as configured. */
export function createSources(feeds: Config["feeds"], deps: SourcesDeps): readonly Source[] {
  const sourceDeps = {
    wallClock: systemClock,
    random: Math.random,
    counters: new Map<string, number>(),
    ...deps,
    priceTimeoutMs: feeds.priceTimeoutMs,
  };
  return [
    createBinanceSource(feeds.binance, sourceDeps),
    createHyperliquidSource(feeds.hyperliquid, sourceDeps),
    createPythSource(feeds.pyth, sourceDeps),
  ];
}

export interface MergedFeed extends MarketFeed {
  /**
   * `lastClose`: a fresh close that the price is held against; a source whose price is further from it than
   * feeds.priceMaxJump is passed over (`feed/price_jump`).
   */
  price(asset: AssetSymbol, signal?: AbortSignal, lastClose?: number): Promise<Quote>;
  /** `<candles|price>/<asset>/<source>/<answered|failure code>`, and `<candles|price>/<asset>/fallback`. */
  readonly counters: ReadonlyMap<string, number>;
}

export interface MarketFeedDeps {
  readonly sources: readonly Source[];
  readonly feeds: Pick<Config["feeds"], "priceTimeoutMs" | "priceMaxJump">;
  /** The market clock. */
  readonly clock: Clock;
  readonly logger: Logger;
  /** Shared with the sources when their counts (invalid candles) should be read in the same place. */
  readonly counters?: FeedCounters;
}

/** The sources of each asset in the order of its listings: the first that answers wins. */
export function createMarketFeed(deps: MarketFeedDeps): MergedFeed {
  const { feeds, clock } = deps;
  const counters: FeedCounters = deps.counters ?? new Map<string, number>();
  const ledger = new Ledger(counters, deps.logger);

  function sourcesOf(asset: AssetSymbol, kind: Kind): Source[] {
    return ASSETS[asset].listings
      .map((listing) => deps.sources.find(({ name }) => name === listing.source))
      .filter((source) => source !== undefined)
      .filter((source) => (kind === "candles" ? source.hasCandles(asset) : source.hasPrice(asset)));
  }

  async function candles(asset: AssetSymbol, range: CandleRange, signal?: AbortSignal): Promise<CandleAnswer> {
    const failures: SourceFailure[] = [];
    let best: { readonly source: Source; readonly found: Found } | null = null;
    const end = Math.min(range.to, millisToSeconds(clock.nowMs()));
    for (const source of sourcesOf(asset, "candles")) {
      const answer = await attempt(source, () => source.fetchCandles(asset, range, signal));
      rethrowAbort(signal);
      if (!answer.ok) {
        failures.push(answer.failure);
        continue;
      }
      const found = judgeCandles(answer.value, { from: range.from, end });
      const isUsed: boolean = best === null || isBetter(found, best.found);
      if (isUsed) best = { source, found };
      if (found.isStale) {
        const message = `candles end ${found.behindSeconds} s too early`;
        failures.push({ source: source.name, code: "feed/stale", message });
      } else if (isUsed) {
        if (!found.isShort) break;
        const message = `candles begin ${found.missingSeconds} s too late`;
        failures.push({ source: source.name, code: "feed/short_history", message });
      }
    }
    ledger.note("candles", asset, { used: best?.source ?? null, failures });
    if (best === null) throw allFailed("candles", asset, failures);
    return { candles: best.found.candles, source: best.source.name, failures };
  }

  async function price(asset: AssetSymbol, signal?: AbortSignal, lastClose?: number): Promise<Quote> {
    const failures: SourceFailure[] = [];
    const sources = sourcesOf(asset, "price");
    const startMs = performance.now();
    const jumped: Quote[] = [];
    for (const [index, source] of sources.entries()) {
      // A hanging source may use up its own share of the budget, not that of those behind it.
      const leftMs = feeds.priceTimeoutMs - (performance.now() - startMs);
      const shareMs = Math.max(1, Math.floor(leftMs / (sources.length - index)));
      const answer = await attempt(source, () => priceWithin(source, asset, { shareMs, signal }));
      rethrowAbort(signal);
      const failure = answer.ok ? jumpFailure(answer.value, lastClose, feeds.priceMaxJump) : answer.failure;
      if (answer.ok && failure === null) {
        ledger.note("price", asset, { used: source, failures });
        return answer.value;
      }
      if (failure !== null) failures.push(failure);
      if (!answer.ok) continue;
      // Two sources that jumped to the same place saw the market jump.
      const witness = jumped.find(({ price }) => Math.abs(answer.value.price / price - 1) <= AGREEMENT);
      if (witness !== undefined) {
        ledger.note("price", asset, { used: source, failures });
        return answer.value;
      }
      jumped.push(answer.value);
    }
    ledger.note("price", asset, { used: null, failures });
    throw allFailed("price", asset, failures);
  }

  return { candles, price, counters };
}

type Kind = "candles" | "price";
type Attempt<Value> =
  { readonly ok: true; readonly value: Value } | { readonly ok: false; readonly failure: SourceFailure };

async function attempt<Value>(source: Source, ask: () => Promise<Value>): Promise<Attempt<Value>> {
  try {
    return { ok: true, value: await ask() };
  } catch (error) {
    if (!(error instanceof OperationalError)) throw error;
    return { ok: false, failure: { source: source.name, code: error.code, message: describeError(error) } };
  }
}

async function priceWithin(
  source: Source,
  asset: AssetSymbol,
  options: { shareMs: number; signal: AbortSignal | undefined },
): Promise<Quote> {
  const { shareMs, signal } = options;
  using budget = timeLimit(shareMs, signal);
  try {
    return await source.fetchPrice(asset, budget.signal);
  } catch (error) {
    if (!budget.isOver) throw error;
    throw new OperationalError("feed/timeout", `${source.name} gave no price within ${shareMs} ms`);
  }
}

function rethrowAbort(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new OperationalError("feed/aborted", "the feeds were given up");
}

/** One source's candles, and what they lack at either end of the range. */
interface Found {
  readonly candles: readonly Candle[];
  readonly behindSeconds: number;
  readonly isStale: boolean;
  readonly missingSeconds: number;
  readonly isShort: boolean;
}

function judgeCandles(candles: readonly Candle[], { from, end }: { from: number; end: number }): Found {
  const last = candles.at(-1);
  const behindSeconds = end - (last === undefined ? from : last.openTime + MINUTE_STEP_SECONDS);
  const missingSeconds = (candles[0]?.openTime ?? end) - from;
  const rangeSeconds = end - from;
  return {
    candles,
    behindSeconds,
    isStale: behindSeconds > STALE_CANDLES_SECONDS,
    missingSeconds,
    isShort:
      rangeSeconds > LONG_RANGE_SECONDS &&
      missingSeconds > Math.max(LATE_START_SECONDS, LATE_START_SHARE * rangeSeconds),
  };
}

/** Whether a later source is worth more than a preferred one. An answer is taken whole: two are never joined. */
function isBetter(found: Found, preferred: Found): boolean {
  if (preferred.isStale) return found.behindSeconds < preferred.behindSeconds;
  const hasClearlyMore = found.candles.length >= CLEARLY_MORE * preferred.candles.length;
  return preferred.isShort && !found.isStale && hasClearlyMore;
}

function jumpFailure(quote: Quote, lastClose: number | undefined, maxJump: number): SourceFailure | null {
  if (lastClose === undefined || Math.abs(quote.price / lastClose - 1) <= maxJump) return null;
  const message = `price ${quote.price} is too far from the last close ${lastClose}`;
  return { source: quote.source, code: "feed/price_jump", message };
}

function allFailed(kind: Kind, asset: AssetSymbol, failures: readonly SourceFailure[]): OperationalError {
  const reasons = failures.map(({ source, code }) => `${source} ${code}`).join(", ");
  const message = `no source has ${kind} of ${asset} (${reasons})`;
  return new OperationalError("feed/all_sources_failed", message, { details: { asset, kind, failures } });
}

/** Counts every outcome, and logs where an asset's outcome changes: a feed that is down all night is one line. */
class Ledger {
  readonly #counters: FeedCounters;
  readonly #logger: Logger;
  readonly #last = new Map<string, string>();

  constructor(counters: FeedCounters, logger: Logger) {
    this.#counters = counters;
    this.#logger = logger;
  }

  note(kind: Kind, asset: AssetSymbol, outcome: { used: Source | null; failures: readonly SourceFailure[] }): void {
    const used = outcome.used?.name ?? null;
    const { failures } = outcome;
    for (const { source, code } of failures) count(this.#counters, `${kind}/${asset}/${source}/${code}`);
    if (used !== null) count(this.#counters, `${kind}/${asset}/${used}/answered`);
    // Failures are in the order of preference: where the first is not the one used, that one was passed over.
    const isFallback = used !== null && failures[0] !== undefined && failures[0].source !== used;
    if (isFallback) count(this.#counters, `${kind}/${asset}/fallback`);
    const signature = [used, ...failures.map(({ source, code }) => `${source} ${code}`)].join();
    const key = `${kind}/${asset}`;
    const before = this.#last.get(key);
    this.#last.set(key, signature);
    if (before === signature || (before === undefined && failures.length === 0)) return;
    if (failures.length === 0) this.#logger.info({ kind, asset, used }, "Preferred feed answers again");
    else if (used === null) this.#logger.warn({ kind, asset, failures }, "No feed answers");
    else this.#logger.warn({ kind, asset, used, failures }, isFallback ? "Feed fell back" : "Feed is stale or short");
  }
}
