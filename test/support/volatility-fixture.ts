import type { AdvanceOptions } from "../../src/volatility/advance.ts";
import { advance, startState } from "../../src/volatility/advance.ts";
import type { VolatilityState } from "../../src/volatility/state.ts";
import type { AssetSymbol } from "../../src/market/assets.ts";
import { scriptedCandles } from "./scripted-feed.ts";

/** 2025-08-01T00:00:00Z. */
export const AUGUST = 1_754_006_400;
export const HALF_LIVES = { halfLifeMinuteSeconds: 3600, halfLifeFiveMinuteSeconds: 43_200 };
export const ADVANCE: AdvanceOptions = { source: "binance", warmupSeconds: 259_200, retentionSeconds: 604_800 };

/** A state of `minutes` scripted candles from `AUGUST` on. */
export function scriptedState(asset: AssetSymbol, minutes: number): VolatilityState {
  const candles = scriptedCandles(asset, { from: AUGUST, to: AUGUST + minutes * 60 });
  return advance(startState({ asset, source: "binance", ...HALF_LIVES }), candles, ADVANCE);
}
