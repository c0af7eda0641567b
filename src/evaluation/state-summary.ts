import { statSync } from "node:fs";
import type { Clock } from "../clock.ts";
import type { AssetSymbol } from "../market/assets.ts";
import { FIVE_MINUTE_STEP_SECONDS, MINUTE_STEP_SECONDS } from "../market/candle.ts";
import { VolatilityReader, type VolatilityStore } from "../store/volatility-store.ts";
import { millisToSeconds, SECONDS_PER_HOUR } from "../units.ts";
import { newestCandle, type EwmaMoment } from "../volatility/state.ts";

/** What a list shows of an asset's volatility state; null where there is no state that can be read. */
export interface StateSummary {
  readonly asset: AssetSymbol;
  readonly status: "ok" | "stale" | "missing" | "corrupt";
  readonly reason: string | null;
  readonly source: string | null;
  readonly newestCandleAt: string | null;
  readonly ageSeconds: number | null;
  /** Standard deviation of one hour's log return, from the 1-minute and the 5-minute moment. */
  readonly sigmaPerHourMinute: number | null;
  readonly sigmaPerHourFiveMinute: number | null;
  /** In the file. */
  readonly candles: number | null;
  readonly gaps: number | null;
  readonly fileBytes: number | null;
  readonly identity: string | null;
}

const UNKNOWN = {
  source: null,
  newestCandleAt: null,
  ageSeconds: null,
  sigmaPerHourMinute: null,
  sigmaPerHourFiveMinute: null,
  candles: null,
  gaps: null,
  identity: null,
} as const;

/** As an axon would read it now; `clock` is the market's. */
export function summariseState(
  store: VolatilityStore,
  asset: AssetSymbol,
  options: { maxStateAgeSeconds: number; clock: Clock },
): StateSummary {
  const reader = new VolatilityReader(store, options);
  const snapshot = reader.snapshot(asset, millisToSeconds(options.clock.nowMs()));
  const fileBytes = statSync(store.path(asset), { throwIfNoEntry: false })?.size ?? null;
  switch (snapshot.status) {
    case "missing":
      return { asset, status: "missing", reason: null, ...UNKNOWN, fileBytes };
    case "corrupt":
      return { asset, status: "corrupt", reason: snapshot.reason, ...UNKNOWN, fileBytes };
    case "ok":
    case "stale": {
      const { state, status, ageSeconds, identity } = snapshot;
      const newest = newestCandle(state);
      return {
        asset,
        status,
        reason: null,
        source: state.source,
        newestCandleAt: newest === null ? null : new Date(newest.openTime * 1000).toISOString(),
        ageSeconds,
        sigmaPerHourMinute: sigmaPerHour(state.sigma2Minute, MINUTE_STEP_SECONDS),
        sigmaPerHourFiveMinute: sigmaPerHour(state.sigma2FiveMinute, FIVE_MINUTE_STEP_SECONDS),
        candles: state.candles.openTime.length,
        gaps: state.gapCount,
        fileBytes,
        identity,
      };
    }
  }
}

function sigmaPerHour(moment: EwmaMoment, stepSeconds: number): number | null {
  if (!(moment.mass > 0)) return null;
  return Math.sqrt((moment.value / moment.mass) * (SECONDS_PER_HOUR / stepSeconds));
}
