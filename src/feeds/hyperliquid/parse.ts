import { z } from "zod";
import type { Candle } from "../../market/candle.ts";
import { unixSeconds } from "../../units.ts";
import { decimal } from "../decimal.ts";
import { badPayload } from "../source.ts";

const snapshot = z.array(z.unknown());
const mids = z.record(z.string(), z.unknown());

function candleRow(coin: string): z.ZodType<Candle> {
  return z
    .object({
      t: z.int(),
      s: z.literal(coin),
      i: z.literal("1m"),
      o: decimal,
      h: decimal,
      l: decimal,
      c: decimal,
      v: decimal,
    })
    .transform(({ t, o, h, l, c, v }): Candle => {
      return { openTime: unixSeconds(t / 1000), open: o, high: h, low: l, close: c, volume: v };
    });
}

/** Rows of `candleSnapshot`; null where a row cannot be read or is of another coin. */
export function parseCandleSnapshot(payload: unknown, coin: string): (Candle | null)[] {
  const rows = snapshot.safeParse(payload);
  if (!rows.success) throw badPayload("hyperliquid", "expected an array of candles");
  const row = candleRow(coin);
  return rows.data.map((value) => row.safeParse(value).data ?? null);
}

/** Mid prices by coin; a mid that is not a positive number is left out. */
export function parseAllMids(payload: unknown): ReadonlyMap<string, number> {
  const parsed = mids.safeParse(payload);
  if (!parsed.success) throw badPayload("hyperliquid", "expected mid prices by coin");
  const prices = new Map<string, number>();
  for (const [coin, text] of Object.entries(parsed.data)) {
    const price = decimal.safeParse(text).data;
    if (price !== undefined && Number.isFinite(price) && price > 0) prices.set(coin, price);
  }
  return prices;
}
