import type { HorizonClass } from "../../engines/horizon.ts";
import { ASSET_SYMBOLS, type AssetSymbol } from "../../market/assets.ts";
import type { VolatilityStore } from "../../store/volatility-store.ts";
import { SECONDS_PER_DAY, SECONDS_PER_HOUR } from "../../units.ts";
import type { Closes } from "./realised.ts";

const HORIZONS: readonly { readonly horizon: HorizonClass; readonly seconds: number }[] = [
  { horizon: "1h", seconds: SECONDS_PER_HOUR },
  { horizon: "24h", seconds: SECONDS_PER_DAY },
];

/**
 * Answers are taken by the time at which their horizon ended, a span of these many seconds at a time: what a killed run
 * has to do again, some 300 simulations.
 */
const SPAN_SECONDS = 2 * SECONDS_PER_HOUR;

/** One asset's candles on disk. */
export type Candles = ReadonlyMap<AssetSymbol, Closes>;

/** Answers of one asset and horizon that ended in `(from, to]`, whole slots. */
export interface Window {
  readonly asset: AssetSymbol;
  readonly horizon: HorizonClass;
  readonly horizonSeconds: number;
  readonly from: number;
  readonly to: number;
}

/** Times up to which answers are dealt with, by `windowKey`. */
export type Marks = ReadonlyMap<string, number>;

export function windowKey({ asset, horizon }: { asset: AssetSymbol; horizon: HorizonClass }): string {
  return `${asset} ${horizon}`;
}

/** Candles of every asset that has some, and what is wrong with the others' states (missing ones apart). */
export function loadCandles(store: VolatilityStore): { readonly candles: Candles; readonly problems: string[] } {
  const candles = new Map<AssetSymbol, Closes>();
  const problems: string[] = [];
  for (const asset of ASSET_SYMBOLS) {
    const loaded = store.load(asset);
    if (loaded.status === "corrupt")
      problems.push(`${store.path(asset)} is corrupt: ${loaded.reason}; its answers wait`);
    if (loaded.status !== "ok") continue;
    const { openTime, close } = loaded.state.candles;
    if (openTime.length > 0) candles.set(asset, { openTime, close });
  }
  return { candles, problems };
}

/**
 * The next span of each asset and horizon. An answer is due once the candle is known whose close is its last price, and
 * lost once the candle of its first is gone. `since` goes back behind the marks. Whether something is due does not
 * depend on any clock.
 */
export function nextWindows(
  candles: Candles,
  options: { readonly marks: Marks; readonly since: number | null; readonly slotSeconds: number },
): Window[] {
  const { marks, since, slotSeconds } = options;
  const wholeSlots = (time: number): number => Math.floor(time / slotSeconds) * slotSeconds;
  return [...candles].flatMap(([asset, { openTime }]) =>
    HORIZONS.flatMap(({ horizon, seconds: horizonSeconds }) => {
      const oldest = wholeSlots(openTime[0]! + horizonSeconds - 1);
      const mark = marks.get(windowKey({ asset, horizon })) ?? oldest;
      const from = Math.max(oldest, Math.min(mark, wholeSlots(since ?? mark)));
      const to = Math.min(wholeSlots(openTime.at(-1)!), wholeSlots(from + SPAN_SECONDS));
      return to > from ? [{ asset, horizon, horizonSeconds, from, to }] : [];
    }),
  );
}
