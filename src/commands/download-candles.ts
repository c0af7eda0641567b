import { join, resolve } from "node:path";
import { z } from "zod";
import { systemClock } from "../clock.ts";
import { marketClock } from "../config/clock.ts";
import type { Config } from "../config/schema.ts";
import { EXIT, OperationalError } from "../errors.ts";
import { refuse, timeChoice } from "../evaluation/backtest/options.ts";
import { createProgress } from "../evaluation/backtest/progress.ts";
import type { MarketFeed } from "../feeds/feed.ts";
import { createMarketFeed, createSources } from "../feeds/merge.ts";
import { downloadCandles, type Downloaded } from "../feeds/recorded/download.ts";
import { ASSET_SYMBOLS, isAssetSymbol, type AssetSymbol } from "../market/assets.ts";
import { isoTime } from "../updater/asset-update.ts";
import { acquireLock } from "../updater/process-lock.ts";
import { defineCommand, type CommandContext } from "./command.ts";
import { textTable } from "./text-table.ts";

/** What training sees, from here on. */
export const FIRST_DAY = "2023-01-01";

const options = z.strictObject({
  dir: z.string().min(1).optional().describe("folder to add to; default: market under --state-dir"),
  assets: z.array(z.string().min(1)).default([]).describe("symbols such as BTC,NVDAX; default: all"),
  from: z.string().default(FIRST_DAY).describe("where an asset begins that has no candle there yet"),
});

export const downloadCandlesCommand = defineCommand({
  name: "download-candles",
  summary: "add the public feeds' newest 1-minute candles to a folder that backtest, calibrate and training read",
  usage: "download-candles [--dir DIR] [--assets BTC,ETH] [--from DATE]",
  options,
  positionals: [],
  sections: ["stateDir", "updater", "feeds", "clock", "logging"],
  async run(context) {
    const { options: asked, config, print, signal } = context;
    const problems: string[] = [];
    const names = asked.assets.flatMap((text) => text.split(","));
    const assets = names.filter((name) => isAssetSymbol(name));
    for (const name of names) {
      if (!isAssetSymbol(name))
        problems.push(`--assets: expected some of ${ASSET_SYMBOLS.join(", ")}, found "${name}"`);
    }
    const from = timeChoice("from", asked.from, problems);
    refuse(problems);
    const dir = downloadDir(config, asked.dir);
    const chosen = assets.length > 0 ? [...new Set(assets)] : ASSET_SYMBOLS;
    const done = await downloadAll(chosen, { ...context, dir, from: from! });
    print(describeDownload(done));
    print(`in ${dir}`);
    if (signal.aborted) return EXIT.INTERRUPTED;
    return done.every(({ problem }) => problem === null) ? EXIT.OK : EXIT.FAILURE;
  },
});

export function downloadDir(config: Config, asked?: string): string {
  return asked === undefined ? join(config.stateDir, "market") : resolve(asked);
}

type Shell = Pick<CommandContext<object>, "config" | "logger" | "signal"> & {
  readonly dir: string;
  readonly from: number;
  /** Tests script it. */
  readonly feed?: MarketFeed;
};

/** One asset after the other. Throws OperationalError `download/locked`. */
export async function downloadAll(
  assets: readonly AssetSymbol[],
  { config, logger, signal, dir, from, feed = feedOf({ config, logger }) }: Shell,
): Promise<Downloaded[]> {
  const lock = await lockFolder(dir);
  const clock = marketClock(config.clock);
  const write = (text: string): void => void process.stderr.write(text);
  const progress = createProgress({ write, isTerminal: process.stderr.isTTY, clock: systemClock });
  const done: Downloaded[] = [];
  try {
    for (const [i, asset] of assets.entries()) {
      if (signal.aborted) break;
      const onProgress = (share: number, text: string): void => {
        progress.update((i + share) / assets.length, 1, text);
      };
      done.push(await downloadCandles(asset, { feed, dir, from, clock, signal, onProgress }));
    }
  } finally {
    progress.end();
    await lock.release();
  }
  return done;
}

function feedOf({ config, logger }: Pick<Shell, "config" | "logger">): MarketFeed {
  const { publishDelaySeconds } = config.updater;
  const clock = marketClock(config.clock);
  const sources = createSources(config.feeds, { clock, logger, publishDelaySeconds });
  return createMarketFeed({ sources, feeds: config.feeds, clock, logger });
}

async function lockFolder(dir: string): ReturnType<typeof acquireLock> {
  try {
    return await acquireLock(join(dir, "download.lock"));
  } catch (cause) {
    if (!(cause instanceof OperationalError) || cause.code !== "updater/locked") throw cause;
    throw new OperationalError("download/locked", `Another download fills ${dir}; wait for its end`, { cause });
  }
}

export function describeDownload(done: readonly Downloaded[]): string {
  const rows = done.map(({ asset, candles, newest, problem }) => [
    asset,
    candles,
    newest === null ? "none" : isoTime(newest),
    problem ?? "",
  ]);
  return textTable(["asset", "new candles", "newest", "problem"], rows, ["new candles"]);
}
