import { statSync } from "node:fs";
import { z } from "zod";
import type { Config } from "../../config/schema.ts";
import { UsageError } from "../../errors.ts";
import { findMarketDir } from "../../feeds/recorded/server.ts";
import { ASSET_SYMBOLS, ASSETS, isAssetSymbol, type AssetSymbol } from "../../market/assets.ts";
import { COMPETITIONS } from "../../subnets/synth/competitions.ts";
import { parseStartTime } from "../../subnets/synth/start-time.ts";
import { SECONDS_PER_DAY, SECONDS_PER_HOUR } from "../../units.ts";
import { COMPETITORS, type Competitor } from "./contestant.ts";
import type { BacktestSettings } from "./origin.ts";
import { HORIZONS, parseDuration } from "./prompts.ts";
import type { Horizon } from "./report.ts";

const names = z.array(z.string().min(1)).default([]);

/** Options that the commands on recorded candles share. */
export const SHARED_OPTIONS = {
  data: names.describe("folder of candles, <res>/<ASSET>/<YYYY-MM>.csv[.gz]; repeat it, or separate several by commas"),
  assets: names.describe("symbols such as BTC,NVDAX; default: all that are recorded and scored on the subnet"),
  horizon: z.enum(["1h", "24h"]).default("24h").describe("1h (steps of 60 s) or 24h (steps of 300 s) prompts"),
  engines: names.describe(`of ${COMPETITORS.join(", ")}; default ewma`),
  stride: z.string().optional().describe("time between two prompts: seconds, or like 67m or 2h"),
  seed: z.int().min(0).default(1).describe("seed of all draws; scores do not depend on --workers"),
  paths: z.int().min(2).max(10_000).default(1000).describe("simulated paths per prompt"),
  workers: z.int().min(1).max(256).optional().describe("worker threads; default: one per core"),
  minObserved: z
    .number()
    .min(0)
    .max(1)
    .default(0.1)
    .describe("least share of a prompt's grid points with a recorded price (a US session is .27 of a day)"),
};

export interface SharedChoices {
  readonly dirs: readonly string[];
  readonly engines: readonly Competitor[];
  readonly assets: readonly AssetSymbol[];
  readonly strideSeconds: number | null;
}

interface SharedTexts {
  readonly data: readonly string[];
  readonly assets: readonly string[];
  readonly engines: readonly string[];
  readonly horizon: Horizon;
  readonly stride?: string | undefined;
}

/** Adds to `problems` what is wrong; the choices are then not to be used. */
export function sharedChoices(texts: SharedTexts, config: Config, problems: string[]): SharedChoices {
  const dirs = split(texts.data);
  if (dirs.length === 0) {
    const found = findMarketDir(config.market.dir);
    if (found === null)
      problems.push("--data: expected a folder of candles; there is no ../shared/market to take instead");
    else dirs.push(found);
  }
  for (const dir of dirs) {
    if (!(statSync(dir, { throwIfNoEntry: false })?.isDirectory() ?? false)) {
      problems.push(`--data: expected a folder of candles, found nothing of that kind at ${dir}`);
    }
  }
  const engines = split(texts.engines).filter((name): name is Competitor => {
    const known = (COMPETITORS as readonly string[]).includes(name);
    if (!known) problems.push(`--engines: expected one of ${COMPETITORS.join(", ")}, found "${name}"`);
    return known;
  });
  const strideSeconds = texts.stride === undefined ? null : parseDuration(texts.stride);
  if (texts.stride !== undefined && strideSeconds === null) {
    problems.push(`--stride: expected seconds or a time like 67m or 2h, found "${texts.stride}"`);
  }
  return {
    dirs,
    engines: engines.length === 0 ? ["ewma"] : [...new Set(engines)],
    assets: assetsOf(texts, problems),
    strideSeconds,
  };
}

function split(texts: readonly string[]): string[] {
  return texts.flatMap((text) => text.split(",")).filter((text) => text !== "");
}

/** Symbols, or folders of recordings that stand for one (NVDA is NVDAX). */
function assetsOf({ assets, horizon }: SharedTexts, problems: string[]): AssetSymbol[] {
  const chosen = split(assets);
  if (chosen.length === 0) {
    return COMPETITIONS.filter(({ horizonSeconds }) => horizonSeconds === HORIZONS[horizon].horizonSeconds).flatMap(
      (competition) => competition.assets,
    );
  }
  const found = chosen.flatMap((name) => {
    if (isAssetSymbol(name)) return [name];
    const standIn = ASSET_SYMBOLS.find(
      (symbol) => ASSETS[symbol].recorded.folder === name && ASSETS[symbol].recorded.priceFactor === 1,
    );
    if (standIn === undefined) problems.push(`--assets: expected ${ASSET_SYMBOLS.join(", ")}, found "${name}"`);
    return standIn === undefined ? [] : [standIn];
  });
  return [...new Set(found)];
}

/** Unix seconds of an ISO date or instant. */
export function timeChoice(name: string, text: string | undefined, problems: string[]): number | null {
  if (text === undefined) return null;
  const time = parseStartTime(text);
  if (time === null)
    problems.push(`--${name}: expected a date such as 2025-10-01 or an ISO 8601 instant, found "${text}"`);
  return time;
}

export function settingsOf(config: Config, draws: { readonly paths: number; readonly seed: number }): BacktestSettings {
  const { updater, engines } = config;
  return {
    ewma: engines.ewma,
    lgbm: engines.lgbm,
    calibration: engines.calibration,
    rankMatching: engines.rankMatching,
    warmupSecondsCrypto: updater.warmupHoursCrypto * SECONDS_PER_HOUR,
    warmupSecondsOther: updater.warmupHoursOther * SECONDS_PER_HOUR,
    retentionSeconds: updater.retentionDays * SECONDS_PER_DAY,
    maxStateAgeSeconds: engines.maxStateAgeSeconds,
    paths: draws.paths,
    seed: draws.seed,
  };
}

/** Throws all problems at once. */
export function refuse(problems: readonly string[]): void {
  if (problems.length > 0) throw new UsageError(problems);
}
