import type { Config } from "../../config/schema.ts";
import { OperationalError } from "../../errors.ts";
import type { UnixMillis } from "../../units.ts";
import type { Source } from "../feed.ts";
import { Host } from "../http.ts";
import { fetchPages, listingOf, notListed, type SourceDeps } from "../source.ts";
import { parseAllMids, parseCandleSnapshot } from "./parse.ts";

/** The host keeps no more than the latest 5000 candles of a coin, so one call answers any range as well as it can be. */
const CANDLES_KEPT = 5000;
const ALL_MIDS_WEIGHT = 2;
/** One answer holds every coin of a dex, so a burst of prompts shares it. */
const MIDS_MAX_AGE_MS = 1000;

interface Mids {
  readonly prices: ReadonlyMap<string, number>;
  readonly asOfMs: UnixMillis;
}

/** 20 per call and 1 per 60 candles returned. */
function candlesWeight(minutes: number): number {
  return 20 + Math.ceil(Math.min(minutes, CANDLES_KEPT) / 60);
}

/** `xyz:GOLD` lives on the dex `xyz`, `@107` on the exchange itself. */
function dexOf(coin: string): string | null {
  const colon = coin.indexOf(":");
  return colon < 0 ? null : coin.slice(0, colon);
}

/** Hyperliquid spot and perps. */
export function createHyperliquidSource(settings: Config["feeds"]["hyperliquid"], deps: SourceDeps): Source {
  const { clock } = deps;
  const rate = { weight: 1200, windowMs: 60_000 };
  const { baseUrl } = settings;
  const host = new Host(
    { name: "hyperliquid", baseUrl, limits: settings, rate, silentRetryAfterMs: null, bearerToken: null },
    deps,
  );
  const midsByDex = new Map<string | null, { readonly askedAtMs: number; readonly answer: Promise<Mids> }>();

  async function askMids(dex: string | null): Promise<Mids> {
    // No caller's signal: one caller giving up must not take the answer from the others.
    const payload = await host.request({
      method: "POST",
      path: "/info",
      body: dex === null ? { type: "allMids" } : { type: "allMids", dex },
      weight: ALL_MIDS_WEIGHT,
      urgency: "price",
      timeoutMs: Math.min(settings.timeoutMs, deps.priceTimeoutMs),
    });
    return { prices: parseAllMids(payload), asOfMs: clock.nowMs() };
  }

  function sharedMids(dex: string | null): Promise<Mids> {
    const nowMs = clock.nowMs();
    const known = midsByDex.get(dex);
    if (known !== undefined && Math.abs(nowMs - known.askedAtMs) < MIDS_MAX_AGE_MS) return known.answer;
    const answer = askMids(dex);
    const entry = { askedAtMs: nowMs, answer };
    midsByDex.set(dex, entry);
    // A failure is for those who waited; the next caller asks again.
    answer.catch(() => {
      if (midsByDex.get(dex) === entry) midsByDex.delete(dex);
    });
    return answer;
  }

  return {
    name: "hyperliquid",
    hasCandles: (asset) => listingOf(asset, "hyperliquid") !== undefined,
    hasPrice: (asset) => listingOf(asset, "hyperliquid") !== undefined,
    fetchCandles: async (asset, range, signal) => {
      const coin = listingOf(asset, "hyperliquid")?.coin;
      if (coin === undefined) throw notListed("hyperliquid", asset);
      const fetchPage = async (page: { from: number; to: number }): Promise<ReturnType<typeof parseCandleSnapshot>> => {
        const times = { startTime: page.from * 1000, endTime: page.to * 1000 - 1 };
        const payload = await host.request({
          method: "POST",
          path: "/info",
          body: { type: "candleSnapshot", req: { coin, interval: "1m", ...times } },
          weight: candlesWeight((page.to - page.from) / 60),
          urgency: "bulk",
          signal,
        });
        return parseCandleSnapshot(payload, coin);
      };
      return fetchPages({ source: "hyperliquid", asset, range, minutesPerPage: Infinity, fetchPage }, deps);
    },
    fetchPrice: async (asset, signal) => {
      const coin = listingOf(asset, "hyperliquid")?.coin;
      if (coin === undefined) throw notListed("hyperliquid", asset);
      const { prices, asOfMs } = await untilAborted(sharedMids(dexOf(coin)), signal);
      const price = prices.get(coin);
      if (price === undefined) {
        throw new OperationalError("feed/no_data", `hyperliquid has no mid price of ${coin}`, { details: { coin } });
      }
      return { price, source: "hyperliquid", asOfMs };
    },
  };
}

/** A shared answer, as long as this caller cares for it. */
function untilAborted<Value>(answer: Promise<Value>, signal: AbortSignal | undefined): Promise<Value> {
  if (signal === undefined) return answer;
  const { promise, resolve, reject } = Promise.withResolvers<Value>();
  const giveUp = (): void => {
    reject(new OperationalError("feed/aborted", "hyperliquid was given up"));
  };
  if (signal.aborted) giveUp();
  signal.addEventListener("abort", giveUp, { once: true });
  answer.then(resolve, reject).finally(() => {
    signal.removeEventListener("abort", giveUp);
  });
  return promise;
}
