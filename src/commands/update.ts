import { dirname, join } from "node:path";
import { z } from "zod";
import type { Clock } from "../clock.ts";
import { marketClock } from "../config/clock.ts";
import type { Config } from "../config/schema.ts";
import { EXIT, problemsOf, UsageError } from "../errors.ts";
import { createMarketFeed, createSources } from "../feeds/merge.ts";
import type { Logger } from "../log.ts";
import { ASSETS, ASSET_SYMBOLS, isAssetSymbol, type AssetSymbol } from "../market/assets.ts";
import { MINUTE_STEP_SECONDS } from "../market/candle.ts";
import { removeDeadTempFiles } from "../store/atomic-file.ts";
import { updaterStatusPath, type AssetStatus } from "../store/status-file.ts";
import { VolatilityStore } from "../store/volatility-store.ts";
import { tellSupervisorReady } from "../supervisor.ts";
import { SECONDS_PER_DAY, SECONDS_PER_HOUR, unixSeconds, type UnixSeconds } from "../units.ts";
import type { VolatilityParameters } from "../updater/asset-update.ts";
import { acquireLock } from "../updater/process-lock.ts";
import { Updater } from "../updater/updater.ts";
import { defineCommand } from "./command.ts";

const options = z.object({
  oneShot: z.boolean().default(false).describe("update every asset once and exit: 0 when all are current, else 1"),
  warmupDate: z
    .string()
    .optional()
    .describe("with --one-shot: rebuild the state as of this date (YYYY-MM-DD, 00:00 UTC)"),
  assets: z.string().optional().describe("comma-separated assets to update; all where not given"),
});

interface Plan {
  readonly assets: readonly AssetSymbol[];
  readonly oneShot: boolean;
  /** Rebuild as of this instant; null continues the stored states. */
  readonly asOf: UnixSeconds | null;
}

/** What the options ask for; throws UsageError with every problem. */
export function planUpdate(asked: z.infer<typeof options>, nowMs: number): Plan {
  const problems: string[] = [];
  const names = asked.assets?.split(",").map((name) => name.trim()) ?? ASSET_SYMBOLS;
  const assets = [...new Set(names)].filter((name) => isAssetSymbol(name));
  for (const name of names) {
    if (!isAssetSymbol(name)) {
      problems.push(`--assets: "${name}" is no asset; expected some of ${ASSET_SYMBOLS.join(", ")}`);
    }
  }
  const { warmupDate, oneShot } = asked;
  if (warmupDate === undefined) {
    if (problems.length > 0) throw new UsageError(problems);
    return { assets, oneShot, asOf: null };
  }
  if (!oneShot) problems.push("--warmup-date: rebuilds once and exits; add --one-shot");
  const date = z.iso.date().safeParse(warmupDate);
  const asOf = Date.parse(`${warmupDate}T00:00:00Z`) / 1000;
  if (!date.success) problems.push(`--warmup-date: expected a date such as 2025-08-01, found "${warmupDate}"`);
  else if (asOf < 0) problems.push(`--warmup-date: expected a date from 1970-01-01 on, found ${warmupDate}`);
  else if (asOf * 1000 > nowMs) problems.push(`--warmup-date: ${warmupDate} is in the future`);
  if (problems.length > 0) throw new UsageError(problems);
  return { assets, oneShot, asOf: unixSeconds(asOf) };
}

function parametersOf(config: Config, asset: AssetSymbol): VolatilityParameters {
  const { warmupHoursCrypto, warmupHoursOther, retentionDays } = config.updater;
  const { halfLifeMinuteSeconds, halfLifeFiveMinuteSeconds } = config.engines.ewma[asset];
  const warmupHours = ASSETS[asset].assetClass === "crypto" ? warmupHoursCrypto : warmupHoursOther;
  return {
    halfLifeMinuteSeconds,
    halfLifeFiveMinuteSeconds,
    warmupSeconds: Math.ceil((warmupHours * SECONDS_PER_HOUR) / MINUTE_STEP_SECONDS) * MINUTE_STEP_SECONDS,
    retentionSeconds: retentionDays * SECONDS_PER_DAY,
  };
}

/** Brought as far as its source goes, and not stale for an axon. */
function isCurrent(status: AssetStatus, limits: { nowMs: number; maxAgeSeconds: number }): boolean {
  if (!["advanced", "up_to_date", "no_new_candles"].includes(status.outcome)) return false;
  const closedMs = Date.parse(status.newestCandleAt ?? "") + MINUTE_STEP_SECONDS * 1000;
  return limits.nowMs - closedMs <= limits.maxAgeSeconds * 1000;
}

function summaryLine(asset: AssetSymbol, status: AssetStatus): string {
  const { outcome, source, newestCandleAt, warmupProgress, gapCount, reason, lastFallback, fallbackCount } = status;
  const facts = [
    `${asset.padEnd(7)} ${outcome.padEnd(14)} ${(source ?? "-").padEnd(11)} newest ${newestCandleAt ?? "-"}`,
    `warm-up ${Math.floor(warmupProgress * 100)} %`,
    `gaps ${gapCount}`,
  ];
  if (reason !== null) facts.push(reason);
  if (fallbackCount > 0) facts.push(`fallback: ${lastFallback ?? ""}`);
  return facts.join(", ");
}

function createUpdater(config: Config, plan: Plan, shell: { clock: Clock; logger: Logger }): Updater {
  const { clock, logger } = shell;
  const { publishDelaySeconds, intervalSeconds, concurrency } = config.updater;
  const sources = createSources(config.feeds, { clock, logger, publishDelaySeconds });
  return new Updater({
    assets: plan.assets,
    parametersOf: (asset) => parametersOf(config, asset),
    feed: createMarketFeed({ sources, feeds: config.feeds, clock, logger }),
    store: new VolatilityStore(config.stateDir),
    stateDir: config.stateDir,
    intervalSeconds,
    publishDelaySeconds,
    concurrency,
    clock,
    logger,
  });
}

export const updateCommand = defineCommand({
  name: "update",
  isDaemon: true,
  summary: "keep the volatility state of every asset current",
  usage: "update [--one-shot [--warmup-date YYYY-MM-DD]] [--assets BTC,ETH] [settings]",
  options,
  positionals: [],
  sections: ["stateDir", "updater", "feeds", "clock", "logging"],
  // What depends on the clock is seen when it runs.
  check: ({ options: asked }) => problemsOf(() => planUpdate(asked, Infinity)),
  async run(context) {
    const { config, options: asked, logger, signal } = context;
    const clock = marketClock(config.clock);
    const plan = planUpdate(asked, clock.nowMs());
    const lock = await acquireLock(join(config.stateDir, "updater.lock"));
    try {
      await removeDeadTempFiles(config.stateDir);
      await removeDeadTempFiles(dirname(updaterStatusPath(config.stateDir)));
      await new VolatilityStore(config.stateDir).prepare();
      const updater = createUpdater(config, plan, { clock, logger });
      if (plan.oneShot) {
        await updater.runOnce(plan.asOf, signal);
        const nowMs = plan.asOf === null ? clock.nowMs() : plan.asOf * 1000;
        const limits = { nowMs, maxAgeSeconds: config.engines.maxStateAgeSeconds };
        const results = plan.assets.map((asset) => ({ asset, status: updater.statusOf(asset) }));
        for (const { asset, status } of results) context.print(summaryLine(asset, status));
        return results.every(({ status }) => isCurrent(status, limits)) ? EXIT.OK : EXIT.FAILURE;
      }
      logger.info({ assets: plan.assets, stateDir: config.stateDir }, "Updater started");
      await updater.run(signal, tellSupervisorReady);
      return EXIT.OK;
    } finally {
      await lock.release();
    }
  },
});
