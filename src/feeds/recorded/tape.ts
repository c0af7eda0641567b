import type { Clock } from "../../clock.ts";
import { ASSET_SYMBOLS, type AssetSymbol } from "../../market/assets.ts";
import type { Candle } from "../../market/candle.ts";
import { SECONDS_PER_DAY, unixSeconds } from "../../units.ts";
import type { CandleRange } from "../feed.ts";
import type { ApiName, FaultBoard } from "./faults.ts";
import { chooseTrack, type Track, type TrackChoice } from "./track.ts";

/** How far back a last price is looked for: over the longest holiday. */
const LAST_PRICE_REACH_DAYS = 8;
/** Answers look at the tape a day at a time, and at no more than this much of it. */
const MAX_SCAN_DAYS = 62;
/** Longer than any warm-up and what state keeps: from here on, history before a window border is history again. */
const BORDER_MEMORY_SECONDS = 8 * SECONDS_PER_DAY;

export interface TapePrice {
  readonly price: number;
  /** Unix seconds, with a fraction. */
  readonly asOf: number;
}

/** The market as the clock has it now, with the faults of the API that asks. */
export class Tape {
  readonly #clock: Clock;
  readonly #faults: FaultBoard;
  readonly #tracks: ReadonlyMap<AssetSymbol, Track>;

  constructor(options: { clock: Clock; faults: FaultBoard; choice: TrackChoice }) {
    this.#clock = options.clock;
    this.#faults = options.faults;
    this.#tracks = new Map(ASSET_SYMBOLS.map((asset) => [asset, chooseTrack(asset, options.choice)]));
  }

  nowSeconds(): number {
    return this.#clock.nowMs() / 1000;
  }

  track(asset: AssetSymbol): Track {
    return this.#tracks.get(asset)!;
  }

  /** The first `limit` candles of a range, the running one included. */
  first(api: ApiName, asset: AssetSymbol, query: CandleRange & { limit: number }): Candle[] {
    const { from, to } = this.#visible(asset, this.#end(api, asset), query);
    const candles: Candle[] = [];
    const scanTo = Math.min(to, from + MAX_SCAN_DAYS * SECONDS_PER_DAY);
    for (let day = from; day < scanTo && candles.length < query.limit; day += SECONDS_PER_DAY) {
      candles.push(...this.#played(api, asset, { from: day, to: Math.min(day + SECONDS_PER_DAY, scanTo) }));
    }
    return candles.slice(0, query.limit);
  }

  /** The last `limit` candles of a range, the running one included. */
  last(api: ApiName, asset: AssetSymbol, query: CandleRange & { limit: number }): Candle[] {
    const { from, to } = this.#visible(asset, this.#end(api, asset), query);
    const scanFrom = Math.max(from, to - MAX_SCAN_DAYS * SECONDS_PER_DAY);
    const days: Candle[][] = [];
    let found = 0;
    for (let day = to; day > scanFrom && found < query.limit; day -= SECONDS_PER_DAY) {
      const candles = this.#played(api, asset, { from: Math.max(day - SECONDS_PER_DAY, scanFrom), to: day });
      days.unshift(candles);
      found += candles.length;
    }
    return days.flat().slice(-query.limit);
  }

  /** The latest price and when it held; null when the asset has none in the last days. */
  price(api: ApiName, asset: AssetSymbol): TapePrice | null {
    const frozenAt = this.#frozenAt(api, asset);
    const end = this.#end(api, asset);
    if (frozenAt === null || frozenAt >= end) return this.#priceAt(asset, end);
    const price = this.#priceAt(asset, frozenAt)?.price;
    return price === undefined ? null : { price, asOf: end };
  }

  /** What this API knows of: now, or when its feed stopped. */
  #end(api: ApiName, asset: AssetSymbol): number {
    const stale = this.#faults.find(api, "stale", [asset]);
    return Math.min(this.nowSeconds(), stale === null ? Infinity : (stale.fault.at ?? stale.setAtSeconds));
  }

  #frozenAt(api: ApiName, asset: AssetSymbol): number | null {
    const frozen = this.#faults.find(api, "frozen", [asset]);
    return frozen === null ? null : (frozen.fault.at ?? frozen.setAtSeconds);
  }

  /** The part of a range that has begun and lies in one window, the latest; nothing from before a recent border. */
  #visible(asset: AssetSymbol, end: number, range: CandleRange): { from: number; to: number } {
    const to = Math.min(range.to, Math.floor(end / 60) * 60 + 60);
    const track = this.track(asset);
    const now = this.nowSeconds();
    const border = track.windowStart(now);
    const isHidden = to <= border && now - border < BORDER_MEMORY_SECONDS;
    return { from: isHidden ? to : Math.max(range.from, track.windowStart(to - 1)), to };
  }

  #played(api: ApiName, asset: AssetSymbol, range: { from: number; to: number }): Candle[] {
    const end = this.#end(api, asset);
    const gap = this.#faults.find(api, "gap", [asset])?.fault;
    const frozenAt = this.#frozenAt(api, asset);
    const frozen = frozenAt === null || frozenAt >= range.to ? null : this.#priceAt(asset, Math.min(frozenAt, end));
    return this.track(asset)
      .range(range.from, range.to)
      .filter(({ openTime }) => gap === undefined || openTime < gap.from || openTime >= gap.to)
      .map((candle) => {
        if (frozen !== null && frozenAt !== null && candle.openTime >= frozenAt) return flat(candle, frozen.price);
        return candle.openTime + 60 > end ? running(candle, end) : candle;
      });
  }

  #priceAt(asset: AssetSymbol, time: number): TapePrice | null {
    const track = this.track(asset);
    const minute = Math.floor(time / 60) * 60;
    const current = track.range(minute, minute + 60)[0];
    if (current !== undefined) return { price: running(current, time).close, asOf: time };
    for (let day = 0; day < LAST_PRICE_REACH_DAYS; day += 1) {
      const to = minute - day * SECONDS_PER_DAY;
      const last = track.range(to - SECONDS_PER_DAY, to).at(-1);
      if (last !== undefined) return { price: last.close, asOf: last.openTime + 60 };
    }
    return null;
  }
}

/** The bar as it stands at `time`: on a straight way from its open to its close, having seen no more than that. */
function running(candle: Candle, time: number): Candle {
  const { openTime, open } = candle;
  const share = Math.min(1, Math.max(0, (time - openTime) / 60));
  const close = share === 1 ? candle.close : Number((open + (candle.close - open) * share).toPrecision(10));
  const volume = candle.volume === null ? null : candle.volume * share;
  return { openTime, open, high: Math.max(open, close), low: Math.min(open, close), close, volume };
}

function flat(candle: Candle, price: number): Candle {
  return { openTime: unixSeconds(candle.openTime), open: price, high: price, low: price, close: price, volume: 0 };
}
