import type { Config } from "../../config/schema.ts";
import { OperationalError } from "../../errors.ts";
import type { Source } from "../feed.ts";
import { Host, type HostRequest } from "../http.ts";
import { fetchPages, listingOf, notListed, type SourceDeps } from "../source.ts";
import { parseKlines, parseTicker } from "./parse.ts";

/** The public host and its market-data mirror, which answers where the first one refuses the region. */
const PUBLIC_HOSTS = { main: "https://api.binance.com", mirror: "https://data-api.binance.vision" };
const KLINES_PER_CALL = 1000;
/** Published weights (August 2023 on): both calls cost 2 at these sizes. */
const KLINES_WEIGHT = 2;
const TICKER_WEIGHT = 2;

/** Binance spot. `hosts` is for tests: after a 451 from `main`, and only from there, all requests go to `mirror`. */
export function createBinanceSource(
  settings: Config["feeds"]["binance"],
  deps: SourceDeps,
  hosts: { main: string; mirror: string } = PUBLIC_HOSTS,
): Source {
  const open = (baseUrl: string): Host =>
    new Host(
      {
        name: "binance",
        baseUrl,
        limits: settings,
        rate: { weight: 6000, windowMs: 60_000 },
        silentRetryAfterMs: null,
        bearerToken: null,
      },
      deps,
    );
  let host = open(settings.baseUrl);
  let canSwitch = settings.baseUrl.replace(/\/+$/, "") === hosts.main;

  async function request(options: HostRequest): Promise<unknown> {
    const asked = host;
    try {
      return await asked.request(options);
    } catch (error) {
      if (!(error instanceof OperationalError) || error.code !== "feed/geo_blocked") throw error;
      if (canSwitch) {
        canSwitch = false;
        host = open(hosts.mirror);
        deps.logger.warn({ from: hosts.main, to: hosts.mirror }, "Binance refuses this region, mirror is used");
      }
      // Requests that were in flight when the switch happened move over too; a mirror that refuses is final.
      if (asked === host) throw error;
      return host.request(options);
    }
  }

  return {
    name: "binance",
    hasCandles: (asset) => listingOf(asset, "binance") !== undefined,
    hasPrice: (asset) => listingOf(asset, "binance") !== undefined,
    fetchCandles: async (asset, range, signal) => {
      const symbol = listingOf(asset, "binance")?.symbol;
      if (symbol === undefined) throw notListed("binance", asset);
      const fetchPage = async (page: { from: number; to: number }): Promise<ReturnType<typeof parseKlines>> => {
        const times = { startTime: page.from * 1000, endTime: page.to * 1000 - 1 };
        const query = { symbol, interval: "1m", ...times, limit: KLINES_PER_CALL };
        const path = "/api/v3/klines";
        return parseKlines(
          await request({ method: "GET", path, query, weight: KLINES_WEIGHT, urgency: "bulk", signal }),
        );
      };
      return fetchPages({ source: "binance", asset, range, minutesPerPage: KLINES_PER_CALL, fetchPage }, deps);
    },
    fetchPrice: async (asset, signal) => {
      const symbol = listingOf(asset, "binance")?.symbol;
      if (symbol === undefined) throw notListed("binance", asset);
      const path = "/api/v3/ticker/price";
      const payload = await request({
        method: "GET",
        path,
        query: { symbol },
        weight: TICKER_WEIGHT,
        urgency: "price",
        timeoutMs: Math.min(settings.timeoutMs, deps.priceTimeoutMs),
        signal,
      });
      return { price: parseTicker(payload, symbol), source: "binance", asOfMs: deps.clock.nowMs() };
    },
  };
}
