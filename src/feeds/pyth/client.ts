import type { Config } from "../../config/schema.ts";
import { OperationalError } from "../../errors.ts";
import type { AssetSymbol } from "../../market/assets.ts";
import type { Quote, Source } from "../feed.ts";
import { Host } from "../http.ts";
import { fetchPages, listingOf, notListed, type SourceDeps } from "../source.ts";
import { parseHermes, parseHistory, parseLazer } from "./parse.ts";

const MINUTES_PER_PAGE = 1440;
/** "Above it 429 for the next 60 s" (Pyth's rate-limit notice). */
const SILENT_RETRY_AFTER_MS = 60_000;
/** Pyth publishes several times a second: a price this old is a feed that stopped. */
const MAX_PRICE_AGE_MS = 120_000;
/** Hermes' part of the price budget, so that Lazer gets its turn. */
const HERMES_SHARE = 1 / 3;

function openHost(
  settings: Config["feeds"]["pyth"],
  deps: SourceDeps,
  host: { name: string; baseUrl: string; weight: number },
): Host {
  const { name, baseUrl, weight } = host;
  const rate = { weight, windowMs: 10_000 };
  const silentRetryAfterMs = SILENT_RETRY_AFTER_MS;
  return new Host({ name, baseUrl, limits: settings, rate, silentRetryAfterMs, bearerToken: settings.apiKey }, deps);
}

/** Prices from Hermes, then Lazer. */
function priceFetcher(settings: Config["feeds"]["pyth"], deps: SourceDeps): Source["fetchPrice"] {
  const hermesHost = openHost(settings, deps, { name: "pyth hermes", baseUrl: settings.hermesBaseUrl, weight: 30 });
  const lazerHost = openHost(settings, deps, { name: "pyth lazer", baseUrl: settings.lazerBaseUrl, weight: 30 });
  const priceTimeoutMs = Math.min(settings.timeoutMs, deps.priceTimeoutMs);

  async function hermesQuote(hermesId: string, signal: AbortSignal | undefined): Promise<Quote> {
    const payload = await hermesHost.request({
      method: "GET",
      path: `/v2/updates/price/latest?ids[]=${hermesId}`,
      weight: 1,
      urgency: "price",
      timeoutMs: Math.ceil(priceTimeoutMs * HERMES_SHARE),
      signal,
    });
    return fresh({ ...parseHermes(payload, hermesId), source: "pyth" });
  }

  async function lazerQuote(lazerId: number, signal: AbortSignal | undefined): Promise<Quote> {
    const payload = await lazerHost.request({
      method: "POST",
      path: "/v1/latest_price",
      body: {
        channel: "fixed_rate@200ms",
        priceFeedIds: [lazerId],
        properties: ["price", "exponent"],
        formats: [],
        parsed: true,
      },
      weight: 1,
      urgency: "price",
      timeoutMs: priceTimeoutMs,
      signal,
    });
    const { price, asOfMs } = parseLazer(payload, lazerId);
    return fresh({ price, source: "pyth", asOfMs: asOfMs ?? deps.clock.nowMs() });
  }

  function fresh(quote: Quote): Quote {
    const ageMs = deps.clock.nowMs() - quote.asOfMs;
    if (ageMs <= MAX_PRICE_AGE_MS) return quote;
    throw new OperationalError("feed/stale", "pyth publishes an old price", { details: { ageMs } });
  }

  async function fetchPrice(asset: AssetSymbol, signal?: AbortSignal): Promise<Quote> {
    const listing = listingOf(asset, "pyth");
    if (listing === undefined) throw notListed("pyth", asset);
    try {
      return await hermesQuote(listing.hermesId, signal);
    } catch (error) {
      if (!(error instanceof OperationalError) || listing.lazerId === null || signal?.aborted === true) throw error;
      deps.logger.debug({ asset, code: error.code }, "Hermes has no price, Lazer is asked");
    }
    return lazerQuote(listing.lazerId, signal);
  }

  return fetchPrice;
}

/** Pyth: history from its UDF endpoint, prices from Hermes, then Lazer. */
export function createPythSource(settings: Config["feeds"]["pyth"], deps: SourceDeps): Source {
  const history = { name: "pyth history", baseUrl: settings.historyBaseUrl, weight: 90 };
  const historyHost = openHost(settings, deps, history);

  return {
    name: "pyth",
    hasCandles: (asset) => (listingOf(asset, "pyth")?.historySymbol ?? null) !== null,
    hasPrice: (asset) => listingOf(asset, "pyth") !== undefined,
    fetchPrice: priceFetcher(settings, deps),
    fetchCandles: async (asset, range, signal) => {
      const symbol = listingOf(asset, "pyth")?.historySymbol ?? null;
      if (symbol === null) throw notListed("pyth", asset);
      const fetchPage = async (page: { from: number; to: number }): Promise<ReturnType<typeof parseHistory>> => {
        const query = { symbol, resolution: "1", from: page.from, to: page.to };
        return parseHistory(
          await historyHost.request({ method: "GET", path: "/history", query, weight: 1, urgency: "bulk", signal }),
        );
      };
      return fetchPages({ source: "pyth", asset, range, minutesPerPage: MINUTES_PER_PAGE, fetchPage }, deps);
    },
  };
}
