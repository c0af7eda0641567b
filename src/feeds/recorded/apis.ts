import { z } from "zod";
import { ASSET_SYMBOLS, type AssetSymbol, type SourceName } from "../../market/assets.ts";
import { unixSeconds } from "../../units.ts";
import { listingOf } from "../source.ts";
import type { ApiName } from "./faults.ts";
import type { Tape } from "./tape.ts";

/** One request as an API's handler sees it. */
export interface ApiRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: unknown;
}

export interface ApiReply {
  readonly status: number;
  readonly body: unknown;
  /** The assets whose data it holds. */
  readonly assets: readonly AssetSymbol[];
}

export type ApiHandler = (request: ApiRequest, tape: Tape) => ApiReply;

const NOT_FOUND: ApiReply = { status: 404, body: { error: "not found" }, assets: [] };
const MINUTE_MS = 60_000;

function assetsOn(source: SourceName): AssetSymbol[] {
  return ASSET_SYMBOLS.filter((asset) => listingOf(asset, source) !== undefined);
}

function integerParam(query: URLSearchParams, name: string): number | null {
  const text = query.get(name);
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

/** Open times in `[fromMs, toMs]`, the ends as Binance and Hyperliquid mean them. */
function inclusiveRange(
  fromMs: number,
  toMs: number,
): { from: ReturnType<typeof unixSeconds>; to: ReturnType<typeof unixSeconds> } {
  return { from: unixSeconds(Math.ceil(fromMs / 1000)), to: unixSeconds(Math.floor(toMs / 1000) + 1) };
}

/** Binance spot: `/api/v3/klines` (1m) and `/api/v3/ticker/price`. */
function binance({ method, path, query }: ApiRequest, tape: Tape): ApiReply {
  if (method !== "GET") return NOT_FOUND;
  const symbol = query.get("symbol");
  const asset = assetsOn("binance").find((candidate) => listingOf(candidate, "binance")?.symbol === symbol);
  if (asset === undefined) return { status: 400, body: { code: -1121, msg: "Invalid symbol." }, assets: [] };
  if (path === "/api/v3/ticker/price") {
    const latest = tape.price("binance", asset);
    if (latest === null) return { status: 400, body: { code: -1121, msg: "Invalid symbol." }, assets: [asset] };
    return { status: 200, body: { symbol, price: latest.price.toFixed(8) }, assets: [asset] };
  }
  if (path !== "/api/v3/klines") return NOT_FOUND;
  if (query.get("interval") !== "1m") {
    return { status: 400, body: { code: -1120, msg: "Invalid interval." }, assets: [asset] };
  }
  const limit = Math.min(Math.max(integerParam(query, "limit") ?? 500, 1), 1000);
  const startTime = integerParam(query, "startTime");
  const range = { ...inclusiveRange(startTime ?? 0, integerParam(query, "endTime") ?? Number.MAX_SAFE_INTEGER), limit };
  const candles = startTime === null ? tape.last("binance", asset, range) : tape.first("binance", asset, range);
  const rows = candles.map(({ openTime, open, high, low, close, volume }) => {
    const traded = volume ?? 0;
    const openMs = openTime * 1000;
    const half = (traded / 2).toFixed(8);
    return [
      openMs,
      ...[open, high, low, close, traded].map((value) => value.toFixed(8)),
      openMs + MINUTE_MS - 1,
      (traded * close).toFixed(8),
      Math.ceil(traded),
      half,
      ((traded * close) / 2).toFixed(8),
      "0",
    ];
  });
  return { status: 200, body: rows, assets: [asset] };
}

const millis = z.int().min(0).max(1e14);
const infoRequest = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("candleSnapshot"),
    req: z.object({ coin: z.string(), interval: z.literal("1m"), startTime: millis, endTime: millis.optional() }),
  }),
  z.object({ type: z.literal("allMids"), dex: z.string().optional() }),
]);
const HYPERLIQUID_CANDLES = 5000;

/** Hyperliquid: `POST /info` with candleSnapshot (1m) and allMids. */
function hyperliquid({ method, path, body }: ApiRequest, tape: Tape): ApiReply {
  if (method !== "POST" || path !== "/info") return NOT_FOUND;
  const parsed = infoRequest.safeParse(body);
  if (!parsed.success) {
    return { status: 422, body: "Failed to deserialize the JSON body into the target type", assets: [] };
  }
  if (parsed.data.type === "allMids") return allMids(parsed.data.dex ?? "", tape);
  const { coin, startTime, endTime } = parsed.data.req;
  const asset = assetsOn("hyperliquid").find((candidate) => listingOf(candidate, "hyperliquid")?.coin === coin);
  if (asset === undefined) return { status: 500, body: null, assets: [] };
  // Only the latest 5000 candles exist at all: an older range is answered with what is left of it.
  const everything = { ...inclusiveRange(0, Number.MAX_SAFE_INTEGER), limit: HYPERLIQUID_CANDLES };
  const wanted = inclusiveRange(startTime, endTime ?? Number.MAX_SAFE_INTEGER);
  const rows = tape
    .last("hyperliquid", asset, everything)
    .filter(({ openTime }) => openTime >= wanted.from && openTime < wanted.to)
    .map(({ openTime, open, high, low, close, volume }) => {
      const [o, h, l, c, v] = [open, high, low, close, volume ?? 0].map(String);
      const t = openTime * 1000;
      return { t, T: t + MINUTE_MS - 1, s: coin, i: "1m", o, c, h, l, v, n: Math.ceil(volume ?? 0) };
    });
  return { status: 200, body: rows, assets: [asset] };
}

function allMids(dex: string, tape: Tape): ApiReply {
  const assets = assetsOn("hyperliquid").filter((asset) => {
    const coin = listingOf(asset, "hyperliquid")?.coin ?? "";
    return dex === "" ? !coin.includes(":") : coin.startsWith(`${dex}:`);
  });
  const mids = assets.flatMap((asset) => {
    const latest = tape.price("hyperliquid", asset);
    return latest === null ? [] : [[listingOf(asset, "hyperliquid")?.coin, String(latest.price)] as const];
  });
  return { status: 200, body: Object.fromEntries(mids) as unknown, assets };
}

/** Pyth's TradingView shim, `/v1/<channel>/history` at one minute. */
function pythHistory({ method, path, query }: ApiRequest, tape: Tape): ApiReply {
  if (method !== "GET" || !/^\/v1\/[^/]+\/history$/.test(path)) return NOT_FOUND;
  const error = (errmsg: string, assets: readonly AssetSymbol[]): ApiReply => {
    return { status: 200, body: { s: "error", errmsg }, assets };
  };
  const symbol = query.get("symbol");
  const asset = assetsOn("pyth").find((candidate) => {
    return symbol !== null && listingOf(candidate, "pyth")?.historySymbol === symbol;
  });
  if (asset === undefined) return error(`unknown symbol ${symbol ?? ""}`, []);
  if (query.get("resolution") !== "1") return error("only resolution 1 is recorded", [asset]);
  const [from, to] = [integerParam(query, "from"), integerParam(query, "to")];
  if (from === null || to === null) return error("from and to are needed, in seconds", [asset]);
  const range = { from: unixSeconds(from), to: unixSeconds(to + 1), limit: 10_000 };
  const candles = tape.first("pythHistory", asset, range);
  if (candles.length === 0) return { status: 200, body: { s: "no_data" }, assets: [asset] };
  const body = {
    s: "ok",
    t: candles.map(({ openTime }) => openTime),
    o: candles.map(({ open }) => open),
    h: candles.map(({ high }) => high),
    l: candles.map(({ low }) => low),
    c: candles.map(({ close }) => close),
    v: candles.map(({ volume }) => volume ?? 0),
  };
  return { status: 200, body, assets: [asset] };
}

/** Pyth prices are integers times ten to this. */
const PYTH_EXPONENT = -8;

function pythInteger(price: number): string {
  return String(Math.round(price * 10 ** -PYTH_EXPONENT));
}

/** Hermes: `/v2/updates/price/latest?ids[]=…` */
function pythHermes({ method, path, query }: ApiRequest, tape: Tape): ApiReply {
  if (method !== "GET" || path !== "/v2/updates/price/latest") return NOT_FOUND;
  const ids = [...query.getAll("ids[]"), ...query.getAll("ids")].map((id) => id.toLowerCase().replace(/^0x/, ""));
  const assets = ids.map((id) => assetsOn("pyth").find((asset) => listingOf(asset, "pyth")?.hermesId === id));
  if (ids.length === 0 || assets.includes(undefined)) {
    return { status: 404, body: "Price ids not found", assets: [] };
  }
  const known = assets.filter((asset) => asset !== undefined);
  const parsed = known.flatMap((asset, index) => {
    const latest = tape.price("pythHermes", asset);
    if (latest === null) return [];
    const price = {
      price: pythInteger(latest.price),
      conf: pythInteger(latest.price / 10_000),
      expo: PYTH_EXPONENT,
      publish_time: Math.floor(latest.asOf),
    };
    return [{ id: ids[index], price, ema_price: price, metadata: {} }];
  });
  return { status: 200, body: { binary: { encoding: "hex", data: [] }, parsed }, assets: known };
}

const lazerRequest = z.object({ priceFeedIds: z.array(z.int()).min(1), properties: z.array(z.string()) });

/** Lazer: `POST /v1/latest_price`. */
function pythLazer({ method, path, body }: ApiRequest, tape: Tape): ApiReply {
  if (method !== "POST" || path !== "/v1/latest_price") return NOT_FOUND;
  const parsed = lazerRequest.safeParse(body);
  if (!parsed.success) return { status: 400, body: "invalid request", assets: [] };
  const { priceFeedIds } = parsed.data;
  const assets = priceFeedIds.map((id) => assetsOn("pyth").find((asset) => listingOf(asset, "pyth")?.lazerId === id));
  if (assets.includes(undefined)) return { status: 400, body: "unknown price feed id", assets: [] };
  const known = assets.filter((asset) => asset !== undefined);
  const latest = known.map((asset) => tape.price("pythLazer", asset));
  const priceFeeds = latest.flatMap((price, index) => {
    if (price === null) return [];
    return [{ priceFeedId: priceFeedIds[index], price: pythInteger(price.price), exponent: PYTH_EXPONENT }];
  });
  const asOf = Math.min(tape.nowSeconds(), ...latest.flatMap((price) => (price === null ? [] : [price.asOf])));
  return {
    status: 200,
    body: { parsed: { timestampUs: String(Math.floor(asOf * 1_000_000)), priceFeeds } },
    assets: known,
  };
}

export const API_HANDLERS: Readonly<Record<ApiName, ApiHandler>> = {
  binance,
  hyperliquid,
  pythHistory,
  pythHermes,
  pythLazer,
};
