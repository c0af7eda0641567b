import { readFileSync } from "node:fs";
import type { Clock } from "../../src/clock.ts";
import { configSchema, type Config } from "../../src/config/schema.ts";
import type { RecordedMarket } from "../../src/feeds/recorded/server.ts";
import { unixMillis } from "../../src/units.ts";

/** A clock that stands still until told; its sleeps pass at once, moving it on. */
export class HandClock implements Clock {
  #nowMs: number;
  readonly slept: number[] = [];

  constructor(start: string) {
    this.#nowMs = Date.parse(start);
  }

  nowMs(): ReturnType<typeof unixMillis> {
    return unixMillis(this.#nowMs);
  }

  advance(ms: number): void {
    this.#nowMs += ms;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    this.slept.push(ms);
    this.#nowMs += ms;
    return Promise.resolve();
  }
}

/** The default feed settings, pointed at a recorded market, with quick retries. */
export function feedsConfigOf(
  market: RecordedMarket,
  limits: Partial<Config["feeds"]["binance"]> = {},
): Config["feeds"] {
  const defaults: unknown = JSON.parse(readFileSync(new URL("../../config/default.json", import.meta.url), "utf8"));
  const { feeds } = configSchema.parse(defaults);
  const { urls } = market;
  return {
    ...feeds,
    binance: { ...feeds.binance, ...limits, baseUrl: urls.binance },
    hyperliquid: { ...feeds.hyperliquid, ...limits, baseUrl: urls.hyperliquid },
    pyth: {
      ...feeds.pyth,
      ...limits,
      historyBaseUrl: urls.pythHistory,
      hermesBaseUrl: urls.pythHermes,
      lazerBaseUrl: urls.pythLazer,
    },
  };
}
