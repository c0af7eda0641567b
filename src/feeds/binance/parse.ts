import { z } from "zod";
import type { Candle } from "../../market/candle.ts";
import { unixSeconds } from "../../units.ts";
import { decimal } from "../decimal.ts";
import { badPayload, checkedPrice } from "../source.ts";

/** `[openTime ms, open, high, low, close, volume, closeTime, …]` */
const kline = z
  .tuple([z.int(), decimal, decimal, decimal, decimal, decimal], z.unknown())
  .transform(([openMs, open, high, low, close, volume]): Candle => {
    return { openTime: unixSeconds(openMs / 1000), open, high, low, close, volume };
  });
const klines = z.array(z.unknown());
const ticker = z.object({ symbol: z.string(), price: decimal });

/** Rows of `/api/v3/klines`; null where a row cannot be read. */
export function parseKlines(payload: unknown): (Candle | null)[] {
  const rows = klines.safeParse(payload);
  if (!rows.success) throw badPayload("binance", "expected an array of klines");
  return rows.data.map((row) => kline.safeParse(row).data ?? null);
}

/** The price of `/api/v3/ticker/price`. */
export function parseTicker(payload: unknown, symbol: string): number {
  const parsed = ticker.safeParse(payload);
  if (!parsed.success || parsed.data.symbol !== symbol) throw badPayload("binance", `expected the price of ${symbol}`);
  return checkedPrice(parsed.data.price, "binance");
}
