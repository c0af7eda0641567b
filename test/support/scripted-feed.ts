import { OperationalError } from "../../src/errors.ts";
import type { CandleAnswer, CandleRange, MarketFeed, Quote, SourceFailure } from "../../src/feeds/feed.ts";
import { ASSETS, type AssetSymbol, type SourceName } from "../../src/market/assets.ts";
import type { Candle } from "../../src/market/candle.ts";
import { unixSeconds } from "../../src/units.ts";

/** A number in [0, 1) that is always the same for the same two integers. */
function noise(a: number, b: number): number {
  let x = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(b + 0x7f4a7c15, 0xc2b2ae35);
  x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d);
  x = Math.imul(x ^ (x >>> 12), 0x297a2d39);
  return ((x ^ (x >>> 15)) >>> 0) / 2 ** 32;
}

/** A price that is a function of its time alone, so that every range of candles agrees with every other. */
function priceAt(asset: AssetSymbol, time: number): number {
  const { referencePrice } = ASSETS[asset];
  const wave = 0.01 * Math.sin(time / 7000) + 0.003 * Math.sin(time / 431);
  return referencePrice * Math.exp(wave + 0.002 * (noise(time / 60, referencePrice) - 0.5));
}

export function scriptedCandle(asset: AssetSymbol, openTime: number): Candle {
  const [open, close] = [priceAt(asset, openTime), priceAt(asset, openTime + 60)];
  return {
    openTime: unixSeconds(openTime),
    open,
    high: Math.max(open, close) * 1.0002,
    low: Math.min(open, close) * 0.9998,
    close,
    volume: 1 + noise(openTime, 7),
  };
}

export function scriptedCandles(asset: AssetSymbol, range: { from: number; to: number }): Candle[] {
  const first = Math.ceil(range.from / 60) * 60;
  const count = Math.max(0, Math.ceil((range.to - first) / 60));
  return Array.from({ length: count }, (_, index) => scriptedCandle(asset, first + index * 60));
}

export interface Script {
  /** Rejects as a dead host does. */
  readonly fails?: boolean;
  /** Settles only when told, or when aborted. */
  readonly until?: Promise<void>;
  readonly source?: SourceName;
  readonly failures?: readonly SourceFailure[];
  /** Changes or removes candles. */
  readonly edit?: (candles: Candle[]) => Candle[];
}

/** A market whose behaviour per asset is set from outside; remembers what was asked. */
export class ScriptedFeed implements MarketFeed {
  readonly scripts = new Map<AssetSymbol, Script>();
  readonly asked: { asset: AssetSymbol; range: CandleRange }[] = [];

  async candles(asset: AssetSymbol, range: CandleRange, signal?: AbortSignal): Promise<CandleAnswer> {
    this.asked.push({ asset, range });
    const script = this.scripts.get(asset) ?? {};
    if (script.until) await Promise.race([script.until, rejectsOnAbort(signal)]);
    if (script.fails) throw new OperationalError("feed/all_sources_failed", "scripted failure");
    const candles = scriptedCandles(asset, range);
    return {
      candles: script.edit ? script.edit(candles) : candles,
      source: script.source ?? ASSETS[asset].listings[0].source,
      failures: script.failures ?? [],
    };
  }

  price(): Promise<Quote> {
    return Promise.reject(new OperationalError("feed/all_sources_failed", "no prices in this script"));
  }
}

function rejectsOnAbort(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener("abort", () => {
      reject(new OperationalError("feed/aborted", "aborted"));
    });
  });
}
