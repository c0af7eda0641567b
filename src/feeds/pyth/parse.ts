import { z } from "zod";
import { OperationalError } from "../../errors.ts";
import type { Candle } from "../../market/candle.ts";
import { unixMillis, unixSeconds, type UnixMillis } from "../../units.ts";
import { badPayload, checkedPrice } from "../source.ts";

const column = z.array(z.number().nullable());
/** TradingView's UDF answer: columns, not rows. */
const history = z.discriminatedUnion("s", [
  z.object({
    s: z.literal("ok"),
    t: z.array(z.number()),
    o: column,
    h: column,
    l: column,
    c: column,
    v: column.optional(),
  }),
  z.object({ s: z.literal("no_data") }),
  z.object({ s: z.literal("error"), errmsg: z.string().optional() }),
]);

const integer = z.union([z.int(), z.string().regex(/^-?\d{1,18}$/)]).transform(Number);
const exponent = z.int().min(-18).max(18);
const hermes = z.object({
  parsed: z.array(
    z.object({ id: z.string(), price: z.object({ price: integer, expo: exponent, publish_time: z.int() }) }),
  ),
});
const lazer = z.object({
  parsed: z.object({
    timestampUs: z
      .union([z.int(), z.string().regex(/^\d{1,18}$/)])
      .transform(Number)
      .optional(),
    priceFeeds: z.array(z.object({ priceFeedId: z.int().optional(), price: integer, exponent })),
  }),
});

/** price = integer * 10^exponent, by a decimal string so that 11576407000000e-8 is exactly 115764.07. */
function scaled(value: number, power: number): number {
  return Number(`${value}e${power}`);
}

function isPrice(value: number | null | undefined): value is number {
  return typeof value === "number";
}

/** Rows of the history shim; null where a row cannot be read. */
export function parseHistory(payload: unknown): (Candle | null)[] {
  const parsed = history.safeParse(payload);
  if (!parsed.success) throw badPayload("pyth history", "expected UDF columns");
  const answer = parsed.data;
  if (answer.s === "no_data") return [];
  if (answer.s === "error") {
    const reason = (answer.errmsg ?? "no reason given").slice(0, 200);
    throw new OperationalError("feed/refused", `pyth history refused: ${reason}`, { details: { reason } });
  }
  const { t, o, h, l, c, v } = answer;
  if ([o, h, l, c].some((prices) => prices.length !== t.length)) {
    throw badPayload("pyth history", "its columns differ in length");
  }
  return t.map((openTime, row): Candle | null => {
    const [open, high, low, close] = [o[row], h[row], l[row], c[row]];
    if (!isPrice(open) || !isPrice(high) || !isPrice(low) || !isPrice(close)) return null;
    return { openTime: unixSeconds(openTime), open, high, low, close, volume: v?.[row] ?? null };
  });
}

/** The latest price of one feed in a Hermes answer, and when it was published. */
export function parseHermes(payload: unknown, hermesId: string): { price: number; asOfMs: UnixMillis } {
  const parsed = hermes.safeParse(payload);
  if (!parsed.success) throw badPayload("pyth hermes", "expected parsed prices");
  const feed = parsed.data.parsed.find(({ id }) => id.replace(/^0x/, "") === hermesId);
  if (feed === undefined) throw new OperationalError("feed/no_data", "pyth hermes has no price of the feed");
  const { price, expo, publish_time: publishTime } = feed.price;
  return { price: checkedPrice(scaled(price, expo), "pyth hermes"), asOfMs: unixMillis(publishTime * 1000) };
}

/** The latest price in a Lazer answer to a request for one feed; `asOfMs` is null where it carries no timestamp. */
export function parseLazer(payload: unknown, lazerId: number): { price: number; asOfMs: UnixMillis | null } {
  const parsed = lazer.safeParse(payload);
  if (!parsed.success) throw badPayload("pyth lazer", "expected parsed prices");
  const { priceFeeds, timestampUs } = parsed.data.parsed;
  const feed = priceFeeds.find(({ priceFeedId }) => priceFeedId === undefined || priceFeedId === lazerId);
  if (feed === undefined) throw new OperationalError("feed/no_data", "pyth lazer has no price of the feed");
  return {
    price: checkedPrice(scaled(feed.price, feed.exponent), "pyth lazer"),
    asOfMs: timestampUs === undefined ? null : unixMillis(Math.floor(timestampUs / 1000)),
  };
}
