import type { Clock } from "../../clock.ts";
import type { AnchorPrice, StateSnapshot } from "../../engines/engine.ts";
import { describeError, OperationalError } from "../../errors.ts";
import type { Quote } from "../../feeds/feed.ts";
import { ASSETS, type AssetSymbol } from "../../market/assets.ts";
import { MINUTE_STEP_SECONDS } from "../../market/candle.ts";
import { withinTime } from "../../time-limit.ts";
import type { UnixMillis } from "../../units.ts";
import { newestCandle } from "../../volatility/state.ts";

/** The part of the market feed an anchor needs. `lastClose`: a fresh close that each source's price is held against. */
export interface PriceFeed {
  price(asset: AssetSymbol, signal?: AbortSignal, lastClose?: number): Promise<Quote>;
}

export interface Anchor {
  readonly anchor: AnchorPrice;
  /** Why the price is not a live one. */
  readonly failure: { readonly code: string; readonly message: string } | null;
}

export interface AnchorOptions {
  readonly snapshot: StateSnapshot;
  /** Longest wait for a live price. */
  readonly timeoutMs: number;
}

export interface Anchors {
  /** Never rejects and never waits longer than it was told. */
  find(asset: AssetSymbol, options: AnchorOptions): Promise<Anchor>;
}

/** A known price and when it held: the newest candle's close holds at the end of its minute. */
interface Known {
  readonly price: number;
  readonly source: AnchorPrice["source"];
  readonly atMs: number;
}

/** An older close neither stands for the price now nor bounds how far it may have moved. */
const FRESH_CLOSE_SECONDS = 600;

function lastClose(snapshot: StateSnapshot): Known | null {
  if (snapshot.status !== "ok" && snapshot.status !== "stale") return null;
  const newest = newestCandle(snapshot.state);
  if (newest === null) return null;
  return { price: newest.close, source: "last_close", atMs: (newest.openTime + MINUTE_STEP_SECONDS) * 1000 };
}

/**
 * The price that paths start from: live; else the last close of a fresh state; else the newer of the state's last close
 * and the last live price this process saw; else the asset table's rough level.
 */
export function createAnchors(deps: {
  readonly feed: PriceFeed;
  /** The market clock, by which prices age. */
  readonly clock: Clock;
  /** By which validators wait. */
  readonly steady: Clock;
  /** Longest time of one fetch. */
  readonly priceTimeoutMs: number;
}): Anchors {
  const seen = new Map<AssetSymbol, Known>();
  const fetches = new Map<AssetSymbol, Promise<Quote>>();

  async function fetchPrice(asset: AssetSymbol, reference: number | undefined): Promise<Quote> {
    const quote = await deps.feed.price(asset, AbortSignal.timeout(deps.priceTimeoutMs), reference);
    if (!(quote.price > 0 && Number.isFinite(quote.price))) {
      throw new OperationalError("feed/bad_price", `expected a positive price, was ${quote.price}`);
    }
    seen.set(asset, { price: quote.price, source: quote.source, atMs: quote.asOfMs });
    return quote;
  }

  /** Prompts come in bursts with one start time: those for one asset share one fetch. */
  function sharedFetch(asset: AssetSymbol, reference: number | undefined): Promise<Quote> {
    const running = fetches.get(asset);
    if (running !== undefined) return running;
    const limit = { clock: deps.steady, timeoutMs: deps.priceTimeoutMs };
    const fetch = quoteWithin(fetchPrice(asset, reference), limit).finally(() => fetches.delete(asset));
    fetches.set(asset, fetch);
    return fetch;
  }

  function aged(known: Known): AnchorPrice {
    const ageSeconds = Math.max(0, deps.clock.nowMs() - known.atMs) / 1000;
    return { price: known.price, source: known.source, ageSeconds };
  }

  function fallback(asset: AssetSymbol, close: Known | null, isFresh: boolean): AnchorPrice {
    if (close !== null && isFresh) return aged(close);
    const known = [close, seen.get(asset) ?? null].filter((one) => one !== null).sort((a, b) => b.atMs - a.atMs)[0];
    if (known !== undefined) return aged(known);
    return { price: ASSETS[asset].referencePrice, source: "reference", ageSeconds: null };
  }

  return {
    find: async (asset, { snapshot, timeoutMs }) => {
      const close = lastClose(snapshot);
      const isFresh = snapshot.status === "ok" && snapshot.ageSeconds <= FRESH_CLOSE_SECONDS;
      const reference = isFresh ? close?.price : undefined;
      try {
        const quote = await quoteWithin(sharedFetch(asset, reference), { clock: deps.steady, timeoutMs });
        return { anchor: aged({ price: quote.price, source: quote.source, atMs: quote.asOfMs }), failure: null };
      } catch (error) {
        const code = error instanceof OperationalError ? error.code : "feed/failed";
        return { anchor: fallback(asset, close, isFresh), failure: { code, message: describeError(error) } };
      }
    },
  };
}

/** A price, or OperationalError `feed/timeout`. */
function quoteWithin(work: Promise<Quote>, { clock, timeoutMs }: { clock: Clock; timeoutMs: number }): Promise<Quote> {
  const late = (): never => {
    throw new OperationalError("feed/timeout", `no price within ${Math.round(timeoutMs)} ms`);
  };
  return withinTime(work, { clock, ms: timeoutMs, late });
}

/** Milliseconds that may be spent on a price when an answer is due at `deadlineMs`. */
export function anchorBudgetMs(options: { nowMs: UnixMillis; deadlineMs: UnixMillis; priceTimeoutMs: number }): number {
  const leftMs = options.deadlineMs - options.nowMs;
  return Math.max(0, Math.min(options.priceTimeoutMs, leftMs * ANCHOR_SHARE));
}

/** Of the time before the deadline, what a price may take: a late answer scores like none. */
const ANCHOR_SHARE = 0.3;
