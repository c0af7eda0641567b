import type { EwmaParameters } from "../../config/schema.ts";
import type { ForecastRequest, MarketSnapshot } from "../../engines/engine.ts";
import type { LgbmChoices } from "../../engines/lgbm/lgbm.ts";
import { ASSETS, type AssetSymbol } from "../../market/assets.ts";
import { MINUTE_STEP_SECONDS } from "../../market/candle.ts";
import { unixSeconds } from "../../units.ts";
import { advance, startState, type AdvanceOptions } from "../../volatility/advance.ts";
import { newestCandle, type SeasonalityStats, type VolatilityState } from "../../volatility/state.ts";
import { closedCandles, REQUEST_LEAD_SECONDS } from "./data.ts";
import type { Chunk, Prompt } from "./plan.ts";

/** What the live processes would have been configured with, and how to draw. */
export interface BacktestSettings {
  readonly ewma: Readonly<Record<AssetSymbol, EwmaParameters>>;
  readonly lgbm: LgbmChoices;
  /** File of the EWMA engine's calibration. */
  readonly calibration: string | null;
  /** Manifest of trained models; absent: the shipped one. */
  readonly models?: string | undefined;
  readonly rankMatching: boolean;
  readonly warmupSecondsCrypto: number;
  readonly warmupSecondsOther: number;
  readonly retentionSeconds: number;
  readonly maxStateAgeSeconds: number;
  readonly paths: number;
  readonly seed: number;
}

/** A prompt and all that was known when it was asked. */
export interface Origin {
  readonly request: ForecastRequest;
  readonly snapshot: MarketSnapshot;
  readonly state: VolatilityState;
}

/** One seed per prompt for all engines: common random numbers, whatever the number of workers. */
export function requestOf(
  prompt: Prompt,
  settings: { readonly seed: number; readonly paths: number },
): ForecastRequest {
  const { asset, start, horizonSeconds, stepSeconds } = prompt;
  return {
    asset,
    startTime: unixSeconds(start),
    horizonSeconds,
    stepSeconds,
    numSimulations: settings.paths,
    seed: `backtest ${settings.seed} ${asset} ${start} ${horizonSeconds} ${stepSeconds}`,
  };
}

/** As the updater advances the asset's state. */
export function advanceOptionsOf(asset: AssetSymbol, settings: BacktestSettings): AdvanceOptions {
  const { assetClass, listings } = ASSETS[asset];
  return {
    source: listings[0].source,
    warmupSeconds: assetClass === "crypto" ? settings.warmupSecondsCrypto : settings.warmupSecondsOther,
    retentionSeconds: settings.retentionSeconds,
  };
}

/**
 * The chunk's prompts in order of time, with the volatility state as the updater would have had it at the request:
 * advanced by the live code from origin to origin, each candle once. The anchor is the last close that was known.
 * `seasonality`: long-run statistics from before the chunk.
 */
export function* originsOf(
  chunk: Chunk,
  settings: BacktestSettings,
  seasonality?: SeasonalityStats,
): Generator<Origin> {
  const { asset, source } = chunk;
  const options = advanceOptionsOf(asset, settings);
  let state = startState({
    asset,
    source: options.source,
    ...settings.ewma[asset],
    ...(seasonality && { seasonality }),
  });
  let knownTo = chunk.historyFrom - 1;
  for (const start of chunk.starts) {
    const requestTime = start - REQUEST_LEAD_SECONDS;
    state = advance(state, closedCandles(source, knownTo, requestTime), options);
    knownTo = requestTime;
    const newest = newestCandle(state)!;
    const ageSeconds = requestTime - (newest.openTime + MINUTE_STEP_SECONDS);
    const status = ageSeconds <= settings.maxStateAgeSeconds ? "ok" : "stale";
    yield {
      request: requestOf({ ...chunk, start }, settings),
      snapshot: {
        asset,
        volatility: { status, state, ageSeconds, identity: "backtest" },
        anchor: { price: newest.close, source: "last_close", ageSeconds },
      },
      state,
    };
  }
}
