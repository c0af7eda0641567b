import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Chunk } from "../../src/evaluation/backtest/plan.ts";
import type { BacktestSettings } from "../../src/evaluation/backtest/origin.ts";
import { loadConfig } from "../../src/config/load.ts";
import { settingsOf } from "../../src/evaluation/backtest/options.ts";
import { CandleGenerator } from "../../src/feeds/recorded/generator.ts";
import { ASSETS, type AssetSymbol } from "../../src/market/assets.ts";
import type { Candle } from "../../src/market/candle.ts";
import { unixSeconds } from "../../src/units.ts";
import { z } from "zod";

/** Monday, 2025-09-01T00:00:00Z. */
export const MONDAY = Date.parse("2025-09-01T00:00:00Z") / 1000;

/** Generated minutes that open in `[from, to)`. */
export function generatedMinutes(asset: AssetSymbol, from: number, to: number): Candle[] {
  return new CandleGenerator({ seed: 11, asset }).range(from, to);
}

/** The five-minute bars of unbroken minutes. */
export function fiveMinuteBars(minutes: readonly Candle[]): Candle[] {
  return [...Map.groupBy(minutes, ({ openTime }) => openTime - (openTime % 300))].map(([openTime, own]) => ({
    openTime: unixSeconds(openTime),
    open: own[0]!.open,
    high: Math.max(...own.map(({ high }) => high)),
    low: Math.min(...own.map(({ low }) => low)),
    close: own.at(-1)!.close,
    volume: null,
  }));
}

/** Writes `<dir>/<resolution>/<folder>/<YYYY-MM>.csv`, a file per month. */
export async function writeCandles(
  dir: string,
  { asset, resolution, candles }: { asset: AssetSymbol; resolution: "1m" | "5m"; candles: readonly Candle[] },
): Promise<void> {
  const folder = join(dir, resolution, ASSETS[asset].recorded.folder);
  await mkdir(folder, { recursive: true });
  const months = Map.groupBy(candles, ({ openTime }) => new Date(openTime * 1000).toISOString().slice(0, 7));
  for (const [month, own] of months) {
    const rows = own.map((c) => [c.openTime, c.open, c.high, c.low, c.close, c.volume ?? ""].join(","));
    await writeFile(join(folder, `${month}.csv`), `t,o,h,l,c,v\n${rows.join("\n")}\n`);
  }
}

/** Every price after `time` (by its close) multiplied: no honest forecast for an earlier cut-off may notice. */
export function corruptedAfter(candles: readonly Candle[], time: number, step: number): Candle[] {
  return candles.map((candle, i) => {
    if (candle.openTime + step <= time) return candle;
    const factor = i % 2 === 0 ? 1.3 : 0.8;
    const { open, high, low, close } = candle;
    return { ...candle, open: open * factor, high: high * factor, low: low * factor, close: close * factor };
  });
}

/** Settings of config/default.json with few paths and, unless a file is given, without a calibration. */
export function backtestSettings(paths = 40, calibration: string | null = null): BacktestSettings {
  const { config } = loadConfig({
    ...{ args: [], env: {}, cwd: "/", options: z.object({}), positionals: [], configFiles: [] },
  });
  return { ...settingsOf(config, { paths, seed: 1 }), calibration };
}

/** One chunk of BTC prompts whose state starts with the folder's candles. */
export function btcChunk(dir: string, changes: Partial<Chunk> & Pick<Chunk, "starts">): Chunk {
  return {
    asset: "BTC",
    source: { dir, resolution: "1m", folder: "BTC", priceFactor: 1 },
    historyFrom: MONDAY,
    horizonSeconds: 86_400,
    stepSeconds: 300,
    ...changes,
  };
}
