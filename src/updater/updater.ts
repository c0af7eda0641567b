import PQueue from "p-queue";
import { steadyClock, type Clock } from "../clock.ts";
import { OperationalError, describeError } from "../errors.ts";
import type { MarketFeed } from "../feeds/feed.ts";
import type { Logger } from "../log.ts";
import { ASSETS, type AssetSymbol, type SourceName } from "../market/assets.ts";
import { MINUTE_STEP_SECONDS } from "../market/candle.ts";
import {
  UPDATER_STATUS_SCHEMA,
  readUpdaterStatus,
  writeUpdaterStatus,
  type AssetStatus,
} from "../store/status-file.ts";
import type { VolatilityStore } from "../store/volatility-store.ts";
import { unixSeconds, type UnixMillis, type UnixSeconds } from "../units.ts";
import { newestCandle, type VolatilityState } from "../volatility/state.ts";
import { isoTime, updateAsset, type AssetResult, type VolatilityParameters } from "./asset-update.ts";

export interface UpdaterOptions {
  readonly assets: readonly AssetSymbol[];
  readonly parametersOf: (asset: AssetSymbol) => VolatilityParameters;
  readonly feed: MarketFeed;
  readonly store: VolatilityStore;
  readonly stateDir: string;
  readonly intervalSeconds: number;
  readonly publishDelaySeconds: number;
  /** Assets of one host that are updated at the same time. */
  readonly concurrency: number;
  /** The market clock. */
  readonly clock: Clock;
  /** For how long a state may be ahead of that one; where not given, the process's. */
  readonly steadyClock?: Clock;
  readonly logger: Logger;
}

/** What an abort of the feed may take before `run` returns regardless. Wall time; the process has ten seconds. */
const STOP_GRACE_MS = 7000;

/** What starts anew with every process. */
const UNTOUCHED = {
  outcome: "pending",
  reason: "not updated yet",
  consecutiveFailures: 0,
  fallbackCount: 0,
  updatingSince: null,
  skippedCycles: 0,
} as const;

const PENDING: AssetStatus = {
  ...UNTOUCHED,
  lastAdvancedAt: null,
  newestCandleAt: null,
  source: null,
  warmFrom: null,
  warmupProgress: 0,
  gapCount: 0,
  lastError: null,
  lastFallback: null,
  lastRestart: null,
};

/** When the next cycle is due: `publishDelay` after a multiple of the interval, strictly after `nowMs`. */
export function nextCycleMs(nowMs: number, timing: { intervalSeconds: number; publishDelaySeconds: number }): number {
  const intervalMs = timing.intervalSeconds * 1000;
  const delayMs = timing.publishDelaySeconds * 1000;
  return (Math.floor((nowMs - delayMs) / intervalMs) + 1) * intervalMs + delayMs;
}

/**
 * Keeps the state of every asset current. One queue per preferred source: a dead host fills its own queue and no other,
 * and an asset that is still busy when the next cycle comes is skipped, not waited for.
 */
export class Updater {
  readonly #options: UpdaterOptions;
  readonly #startedAtMs: UnixMillis;
  readonly #status: Map<AssetSymbol, AssetStatus>;
  readonly #queues = new Map<SourceName, PQueue>();
  readonly #inFlight = new Map<AssetSymbol, Promise<void>>();
  readonly #aheadSince = new Map<AssetSymbol, UnixMillis>();
  #cycles = 0;
  #running = true;
  /** The write under way, and whether something changed since it began. */
  #heartbeat: Promise<void> | null = null;
  #heartbeatDue = false;

  constructor(options: UpdaterOptions) {
    this.#options = options;
    this.#startedAtMs = options.clock.nowMs();
    // What the last process knew stays true until an update says otherwise, also of assets that are not ours.
    const last = readUpdaterStatus(options.stateDir);
    const previous = last.status === "ok" ? last.updater.assets : {};
    this.#status = new Map(Object.entries(previous) as [AssetSymbol, AssetStatus][]);
    for (const asset of options.assets) {
      this.#status.set(asset, { ...(previous[asset] ?? PENDING), ...UNTOUCHED });
      const { source } = ASSETS[asset].listings[0];
      if (!this.#queues.has(source)) this.#queues.set(source, new PQueue({ concurrency: options.concurrency }));
    }
  }

  statusOf(asset: AssetSymbol): AssetStatus {
    return this.#status.get(asset) ?? PENDING;
  }

  /** One update of every asset. With `asOf`, rebuilds each state as it would have been then. */
  async runOnce(asOf: UnixSeconds | null, signal: AbortSignal): Promise<void> {
    this.#startCycle(asOf, signal);
    await this.#stop(signal);
  }

  /** A cycle now and after every interval, until the signal aborts; `onReady` after every asset was tried once. */
  async run(signal: AbortSignal, onReady: () => void): Promise<void> {
    this.#startCycle(null, signal);
    void Promise.all(this.#inFlight.values()).then(() => {
      if (!signal.aborted) onReady();
    });
    while (await this.#sleepToNextCycle(signal)) this.#startCycle(null, signal);
    await this.#stop(signal);
  }

  /** False when the signal aborted. */
  async #sleepToNextCycle(signal: AbortSignal): Promise<boolean> {
    const { clock, intervalSeconds } = this.#options;
    const dueMs = nextCycleMs(clock.nowMs(), this.#options);
    try {
      // A timer may fire a little early; more than an interval to go means that the clock was set back.
      for (let leftMs = dueMs - clock.nowMs(); leftMs > 0 && leftMs <= intervalSeconds * 1000;) {
        await clock.sleep(leftMs, signal);
        leftMs = dueMs - clock.nowMs();
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
    return !signal.aborted;
  }

  #startCycle(asOf: UnixSeconds | null, signal: AbortSignal): void {
    const { assets, logger } = this.#options;
    this.#cycles += 1;
    const skipped: AssetSymbol[] = [];
    for (const asset of assets) {
      if (this.#inFlight.has(asset)) {
        skipped.push(asset);
        this.#report(asset, { skippedCycles: this.statusOf(asset).skippedCycles + 1 });
        continue;
      }
      this.#report(asset, { updatingSince: this.#now() });
      const queue = this.#queues.get(ASSETS[asset].listings[0].source)!;
      const update = queue
        .add(() => this.#update(asset, asOf, signal))
        .then(() => {
          this.#inFlight.delete(asset);
          this.#report(asset, { updatingSince: null });
        });
      this.#inFlight.set(asset, update);
    }
    if (skipped.length > 0) logger.warn({ assets: skipped }, "Assets skipped: their previous update still runs");
  }

  /** Never rejects: one asset's trouble, expected or not, stays that asset's. */
  async #update(asset: AssetSymbol, asOf: UnixSeconds | null, signal: AbortSignal): Promise<void> {
    const { feed, store, logger } = this.#options;
    const parameters = this.#options.parametersOf(asset);
    const to = asOf ?? this.#closedBefore();
    const rebuild = asOf !== null;
    const steadyNowMs = (this.#options.steadyClock ?? steadyClock).nowMs();
    const aheadSince = this.#aheadSince;
    try {
      signal.throwIfAborted();
      const result = await updateAsset(
        { asset, feed, store, parameters, to, rebuild, steadyNowMs, aheadSince, logger },
        signal,
      );
      this.#reportResult(asset, result, parameters.warmupSeconds);
    } catch (error) {
      if (!signal.aborted) this.#reportFailure(asset, error);
    }
  }

  /** Candles that open before this have closed and had time to be published. */
  #closedBefore(): UnixSeconds {
    const { clock, publishDelaySeconds } = this.#options;
    const seconds = clock.nowMs() / 1000 - publishDelaySeconds;
    return unixSeconds(Math.floor(seconds / MINUTE_STEP_SECONDS) * MINUTE_STEP_SECONDS);
  }

  #reportResult(asset: AssetSymbol, result: AssetResult, warmupSeconds: number): void {
    const { state, outcome, reason, fallbacks, restart } = result;
    const before = this.statusOf(asset);
    const last = fallbacks.at(-1);
    this.#report(asset, {
      ...stateStatus(state, warmupSeconds),
      outcome,
      reason,
      consecutiveFailures: 0,
      lastAdvancedAt: outcome === "advanced" ? this.#now() : before.lastAdvancedAt,
      fallbackCount: before.fallbackCount + (last ? 1 : 0),
      lastFallback: last ? `${last.source}: ${last.code}: ${last.message}` : before.lastFallback,
      lastRestart: restart === null ? before.lastRestart : { at: this.#now(), why: restart },
    });
    const { logger } = this.#options;
    if (restart !== null) logger.info({ asset, why: restart, candles: state.candleCount }, "Warm-up started");
    logger.debug({ asset, outcome, reason, source: state.source, candles: state.candleCount }, "Asset updated");
  }

  #reportFailure(asset: AssetSymbol, error: unknown): void {
    const code = error instanceof OperationalError ? error.code : "updater/unexpected";
    const message = describeError(error);
    const consecutiveFailures = this.statusOf(asset).consecutiveFailures + 1;
    const lastError = { at: this.#now(), code, message };
    this.#report(asset, { outcome: "failed", reason: message, consecutiveFailures, lastError });
    const { logger } = this.#options;
    // The first of a row is news; the heartbeat counts the rest.
    const level = consecutiveFailures === 1 ? "warn" : "debug";
    logger[level]({ asset, code, reason: message, consecutiveFailures }, "Asset not advanced");
    if (code === "updater/unexpected") logger.debug({ stack: error instanceof Error ? error.stack : null }, "Stack");
  }

  #now(): string {
    return new Date(this.#options.clock.nowMs()).toISOString();
  }

  #report(asset: AssetSymbol, change: Partial<AssetStatus>): void {
    this.#status.set(asset, { ...this.statusOf(asset), ...change });
    this.#requestHeartbeat();
  }

  #requestHeartbeat(): void {
    this.#heartbeatDue = true;
    this.#heartbeat ??= this.#writeHeartbeat();
  }

  /** Writes until nothing changed meanwhile: any number of reports in one moment are one write. */
  async #writeHeartbeat(): Promise<void> {
    const { stateDir, logger } = this.#options;
    await Promise.resolve();
    while (this.#heartbeatDue) {
      this.#heartbeatDue = false;
      try {
        await writeUpdaterStatus(stateDir, {
          schema: UPDATER_STATUS_SCHEMA,
          pid: process.pid,
          running: this.#running,
          startedAt: new Date(this.#startedAtMs).toISOString(),
          writtenAt: this.#now(),
          cycles: this.#cycles,
          assets: Object.fromEntries(this.#status),
        });
      } catch (error) {
        logger.warn({ reason: describeError(error) }, "Heartbeat not written");
      }
    }
    this.#heartbeat = null;
  }

  /** Waits for what is in flight, not much longer than the signal allows, and writes the last heartbeat. */
  async #stop(signal: AbortSignal): Promise<void> {
    await settledOrAborted([...this.#inFlight.values()], signal);
    this.#running = false;
    this.#requestHeartbeat();
    await this.#heartbeat;
  }
}

function stateStatus(state: VolatilityState, warmupSeconds: number): Partial<AssetStatus> {
  const newest = newestCandle(state)!.openTime;
  return {
    source: state.source,
    newestCandleAt: isoTime(newest),
    warmFrom: isoTime(state.warmFrom),
    warmupProgress: Math.min(1, (newest + MINUTE_STEP_SECONDS - state.warmFrom) / warmupSeconds),
    gapCount: state.gapCount,
  };
}

/** Resolves when all work has settled, or a grace time after the signal aborted. */
async function settledOrAborted(work: readonly Promise<void>[], signal: AbortSignal): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const graceOver = new Promise<void>((resolve) => {
    const startTimer = (): void => {
      timer = setTimeout(resolve, STOP_GRACE_MS);
    };
    if (signal.aborted) startTimer();
    else signal.addEventListener("abort", startTimer, { once: true });
  });
  await Promise.race([Promise.all(work), graceOver]);
  clearTimeout(timer);
}
