import { OperationalError } from "../errors.ts";
import type { CandleAnswer, MarketFeed, SourceFailure } from "../feeds/feed.ts";
import type { Logger } from "../log.ts";
import type { AssetSymbol } from "../market/assets.ts";
import { MINUTE_STEP_SECONDS, type Candle } from "../market/candle.ts";
import type { VolatilityStore } from "../store/volatility-store.ts";
import {
  SECONDS_PER_DAY,
  SECONDS_PER_HOUR,
  secondsToMillis,
  unixSeconds,
  type UnixMillis,
  type UnixSeconds,
} from "../units.ts";
import { advance, startState, type HalfLives } from "../volatility/advance.ts";
import { newestCandle, type SeasonalityStats, type VolatilityState } from "../volatility/state.ts";
import { tameCandles, type TamedCandles } from "./wild-ticks.ts";

export interface VolatilityParameters extends HalfLives {
  readonly warmupSeconds: number;
  readonly retentionSeconds: number;
}

export interface AssetUpdate {
  readonly asset: AssetSymbol;
  readonly feed: MarketFeed;
  readonly store: VolatilityStore;
  readonly parameters: VolatilityParameters;
  /** Open times before this have closed: the state reaches up to it. */
  readonly to: UnixSeconds;
  /** Build anew from the warm-up before `to`, whatever is in the store. */
  readonly rebuild: boolean;
  readonly steadyNowMs: UnixMillis;
  /** Since when, by the steady clock, an asset's state has been ahead of the clock; kept from update to update. */
  readonly aheadSince: Map<AssetSymbol, UnixMillis>;
  readonly logger: Logger;
}

export interface AssetResult {
  readonly outcome: "advanced" | "up_to_date" | "no_new_candles";
  readonly state: VolatilityState;
  /** Why it was not advanced, or what is odd about its candles; null when all is well. */
  readonly reason: string | null;
  /** Preferred sources that another one stood in for. */
  readonly fallbacks: readonly SourceFailure[];
  /** Why the warm-up started (again); null when it went on. */
  readonly restart: string | null;
}

/** A state that is no further ahead of the clock has only to wait for it. */
const MAX_CLOCK_SKEW_SECONDS = 600;
/**
 * Candles carry their host's time, so a state that is further ahead speaks against our clock, and losing weeks of
 * learning to a clock that is soon set right is worse than an hour without news. One that stays ahead for this long, by
 * the steady clock, belongs to another time, such as a rehearsal's.
 */
const MAX_AHEAD_MS = 3_600_000;
/** A weekly rhythm counts no bar before its newest: it may miss this much of the clock's time, but not weeks. */
const MAX_RHYTHM_AHEAD_SECONDS = 2 * SECONDS_PER_DAY;

type Base =
  | { readonly state: VolatilityState; readonly restart: null }
  | {
      readonly state: null;
      readonly restart: string;
      /** The weekly rhythm of a state that cannot be advanced is still the asset's. */
      readonly seasonality?: SeasonalityStats;
      /** Close of its newest candle, where the stored state is ahead of the clock: set aside, not overwritten. */
      readonly aheadUntil?: UnixSeconds;
    };

/**
 * Brings one asset's state up to `to`: load, fetch what closed since its newest candle, advance, save. A hole in the
 * answer stays a hole. Throws OperationalError when the feed or the store fails, and while the clock is behind the state;
 * the file is then as it was.
 */
export async function updateAsset(update: AssetUpdate, signal?: AbortSignal): Promise<AssetResult> {
  const { asset, feed, store, parameters, to } = update;
  const base = await baseOf(update);
  const newest = base.state && newestCandle(base.state);
  const warmFrom = unixSeconds(to - parameters.warmupSeconds);
  const from = newest === null ? warmFrom : unixSeconds(newest.openTime + MINUTE_STEP_SECONDS);
  if (base.state && from >= to) {
    const reason = `no candle has closed since ${isoTime(from)}`;
    return { outcome: "up_to_date", state: base.state, reason, fallbacks: [], restart: null };
  }
  let answer = await feed.candles(asset, { from, to }, signal);
  let { restart } = base;
  const known = base.state === null ? base.seasonality : base.state.seasonality;
  const seasonality = known && known.until <= to + MAX_RHYTHM_AHEAD_SECONDS ? known : undefined;
  const start = (): VolatilityState =>
    startState({ asset, source: answer.source, ...parameters, ...(seasonality && { seasonality }) });
  let tamed = tameCandles(answer.candles, newest?.close ?? null);
  let state = advance(base.state ?? start(), tamed.candles, { ...parameters, source: answer.source });
  if (state === base.state) {
    if (answer.candles.length > 0) {
      const reason = wildReason(tamed, answer.candles);
      return { outcome: "no_new_candles", state, reason, fallbacks: fallbacksOf(answer), restart: null };
    }
    const others = answer.failures.map(({ source, message }) => `; ${source}: ${message}`);
    const reason = `${answer.source} has no candle from ${isoTime(from)} on${others.join("")}`;
    return { outcome: "no_new_candles", state, reason, fallbacks: fallbacksOf(answer), restart: null };
  }
  if (base.state && state.warmFrom !== base.state.warmFrom) {
    // Another price level: the candles before it are worth nothing to the new one, but its own past is.
    restart = `price level changed at ${isoTime(state.warmFrom)} (${base.state.source} to ${answer.source})`;
    answer = await feed.candles(asset, { from: warmFrom, to }, signal);
    tamed = tameCandles(answer.candles, null);
    state = advance(start(), tamed.candles, { ...parameters, source: answer.source });
  }
  if (state.candleCount === 0) {
    throw new OperationalError(
      "updater/no_candles",
      `${answer.source} has no candle of ${asset} between ${isoTime(warmFrom)} and ${isoTime(to)}`,
      { details: { asset, source: answer.source } },
    );
  }
  if (base.state === null && base.aheadUntil !== undefined) {
    const path = await store.setAside(asset, { as: "ahead", atMs: secondsToMillis(base.aheadUntil) });
    update.logger.warn({ asset, path }, "Volatility state stays ahead of the clock: set aside, rebuilt");
  }
  await store.save(state);
  const reason = wildReason(tamed, answer.candles) ?? frozenReason(state);
  return { outcome: "advanced", state, reason, fallbacks: fallbacksOf(answer), restart };
}

function wildReason({ wild, heldBack }: TamedCandles, candles: readonly Candle[]): string | null {
  const [tick] = wild;
  if (tick)
    return `${wild.length} wild candle(s) left out, the first at ${isoTime(tick.openTime)}: close ${tick.close}`;
  const held = heldBack > 0 ? candles.at(-heldBack) : undefined;
  return held ? `the jump to ${held.close} at ${isoTime(held.openTime)} waits for the candles after it` : null;
}

/** Quiet markets pause for minutes; a price that stands still for an hour is a feed that does. */
const FROZEN_CANDLES = 60;

function frozenReason({ candles: { high, low } }: VolatilityState): string | null {
  const from = high.length - FROZEN_CANDLES;
  if (from < 0) return null;
  const first = high[from];
  const isFlat = high.subarray(from).every((price, i) => price === first && low[from + i] === first);
  return isFlat ? `the feed looks frozen: no price but ${first} in the last ${FROZEN_CANDLES} candles` : null;
}

/** A source that answered, but with old candles, may stand among its own failures. */
function fallbacksOf(answer: CandleAnswer): readonly SourceFailure[] {
  return answer.failures.filter(({ source }) => source !== answer.source);
}

/** The stored state where it can be advanced; otherwise why the warm-up starts. */
async function baseOf(update: AssetUpdate): Promise<Base> {
  const { asset, store, parameters, to, rebuild, logger } = update;
  if (rebuild) return { state: null, restart: `rebuilt as of ${isoTime(to)}` };
  const loaded = store.load(asset);
  if (loaded.status === "missing") return { state: null, restart: "there was no state" };
  if (loaded.status === "corrupt") {
    const { reason } = loaded;
    const path = await store.setAside(asset, { as: "corrupt", atMs: secondsToMillis(to) });
    logger.warn({ asset, reason, path }, "Volatility state is corrupt: set aside, rebuilding");
    return { state: null, restart: `the state was corrupt (${reason}) and is set aside` };
  }
  const { state } = loaded;
  const until = unixSeconds(newestCandle(state)!.openTime + MINUTE_STEP_SECONDS);
  if (until - to > MAX_CLOCK_SKEW_SECONDS) {
    const restart = aheadTooLong(update, until);
    return { state: null, restart, seasonality: state.seasonality, aheadUntil: until };
  }
  update.aheadSince.delete(asset);
  const why = unusable(state, parameters, to - until);
  return why === null ? { state, restart: null } : { state: null, restart: why, seasonality: state.seasonality };
}

/** Why the state goes; throws as long as it is more likely that the clock is wrong. */
function aheadTooLong({ asset, to, steadyNowMs, aheadSince }: AssetUpdate, until: UnixSeconds): string {
  const sinceMs = aheadSince.get(asset) ?? steadyNowMs;
  aheadSince.set(asset, sinceMs);
  const aheadMinutes = Math.round((until - to) / 60);
  const leftMs = MAX_AHEAD_MS - (steadyNowMs - sinceMs);
  if (leftMs <= 0) return `the clock stayed behind the state (${aheadMinutes} min): set aside, another clock made it`;
  throw new OperationalError(
    "updater/clock_behind",
    `the clock is ${aheadMinutes} min behind the state, which reaches up to ${isoTime(until)}: set the clock right; ` +
      `otherwise the state is rebuilt in ${Math.ceil(leftMs / 60_000)} min`,
    { details: { asset, aheadMinutes } },
  );
}

function unusable(state: VolatilityState, parameters: VolatilityParameters, behindSeconds: number): string | null {
  if (
    state.halfLifeMinuteSeconds !== parameters.halfLifeMinuteSeconds ||
    state.halfLifeFiveMinuteSeconds !== parameters.halfLifeFiveMinuteSeconds
  ) {
    return "the configured half-lives changed";
  }
  if (behindSeconds > parameters.warmupSeconds) {
    return `the gap of ${(behindSeconds / SECONDS_PER_HOUR).toFixed(1)} h is longer than the warm-up`;
  }
  return null;
}

export function isoTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
}
