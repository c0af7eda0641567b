import type { ForecastRequest, MarketSnapshot, StateSnapshot } from "../../src/engines/engine.ts";
import type { EwmaInput } from "../../src/engines/ewma/ewma.ts";
import type { PathModel } from "../../src/engines/path-model.ts";
import type { AssetSymbol } from "../../src/market/assets.ts";
import { unixSeconds, type UnixSeconds } from "../../src/units.ts";
import { emptySeasonality } from "../../src/volatility/seasonality.ts";
import { VOLATILITY_STATE_SCHEMA, type SeasonalityStats, type VolatilityState } from "../../src/volatility/state.ts";

/** Thursday 1 October 2026, 12:05 UTC: before the US session. */
export const START_TIME = unixSeconds(Date.parse("2026-10-01T12:05:00Z") / 1000);

export function forecastRequest(changes: Partial<ForecastRequest> = {}): ForecastRequest {
  return {
    asset: "BTC",
    startTime: START_TIME,
    horizonSeconds: 86_400,
    stepSeconds: 300,
    numSimulations: 1000,
    seed: "test",
    ...changes,
  };
}

/** An input for the grid of `forecastRequest()`: 0.1 % a step. */
export function ewmaInput(changes: Partial<PathModel> = {}): EwmaInput {
  const model: PathModel = {
    anchorPrice: 100_000,
    stepSigmas: new Array<number>(288).fill(1e-3),
    nu: 6,
    latent: { tau: 0.3, halfLifeSeconds: 7200 },
    varianceRatios: [],
    zeroShare: 0,
    rankMatched: false,
    ...changes,
  };
  return { engine: "ewma", model, fallbacks: [] };
}

export interface StateOptions {
  readonly asset?: AssetSymbol;
  readonly minutes?: number;
  /** Open time of the newest candle. */
  readonly newest?: UnixSeconds;
  readonly sigma2Minute?: number;
  readonly sigma2FiveMinute?: number;
  readonly halfLifeMinuteSeconds?: number;
  readonly halfLifeFiveMinuteSeconds?: number;
  readonly close?: number;
  /** |log return| of every minute, and of every five: the close goes up and down by it. */
  readonly swing?: number;
  readonly seasonality?: SeasonalityStats;
}

/** A state of unbroken minutes with the given variance estimates (masses below 1, as in a warm-up). */
export function volatilityState(options: StateOptions = {}): VolatilityState {
  const minutes = options.minutes ?? 600;
  const newest = options.newest ?? unixSeconds(START_TIME - 180);
  const openTime = Float64Array.from({ length: minutes }, (_, i) => newest - 60 * (minutes - 1 - i));
  const up = Math.exp(options.swing ?? 0);
  const flat = openTime.map((time) => (options.close ?? 100_000) * ((time / 60) % 2 === 0 ? 1 : up));
  const mass = 0.5;
  return {
    schema: VOLATILITY_STATE_SCHEMA,
    asset: options.asset ?? "BTC",
    source: "binance",
    warmFrom: unixSeconds(openTime[0] ?? newest),
    candleCount: minutes,
    gapCount: 0,
    sigma2Minute: { value: (options.sigma2Minute ?? 2e-7) * mass, mass },
    sigma2FiveMinute: { value: (options.sigma2FiveMinute ?? 1e-6) * mass, mass },
    halfLifeMinuteSeconds: options.halfLifeMinuteSeconds ?? 3600,
    halfLifeFiveMinuteSeconds: options.halfLifeFiveMinuteSeconds ?? 43_200,
    sourceBorders: [],
    openBucket: null,
    lastFiveMinute: null,
    seasonality: options.seasonality ?? emptySeasonality(),
    candles: { openTime, open: flat, high: flat, low: flat, close: flat, volume: new Float64Array(minutes) },
  };
}

export function freshSnapshot(state: VolatilityState): StateSnapshot {
  return { status: "ok", state, ageSeconds: 30, identity: "abc123" };
}

export function marketSnapshot(volatility: StateSnapshot, asset: AssetSymbol = "BTC", price = 100_000): MarketSnapshot {
  return { asset, volatility, anchor: { price, source: "binance", ageSeconds: 0.2 } };
}
