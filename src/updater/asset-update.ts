import { OperationalError } from "../errors.ts";
import type { CandleAnswer, MarketFeed, SourceFailure } from "../feeds/feed.ts";
import type { Logger } from "../log.ts";
import type { AssetSymbol } from "../market/assets.ts";
import { MINUTE_STEP_SECONDS, type Candle } from "../market/candle.ts";
import type { VolatilityStore } from "../store/volatility-store.ts";
import { SECONDS_PER_HOUR, secondsToMillis, unixSeconds, type UnixSeconds } from "../units.ts";
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

/** A state that is this far ahead of the clock was made under another clock, not by one that was set back a little. */
const MAX_CLOCK_SKEW_SECONDS = 600;

type Base =
  | { readonly state: VolatilityState; readonly restart: null }
  | {
      readonly state: null;
      readonly restart: string;
      /** The weekly rhythm of a state that cannot be advanced is still the asset's. */
      readonly seasonality?: SeasonalityStats;
    };

/**
 * Brings one asset's state up to `to`: load, fetch what closed since its newest candle, advance, save. A hole in the
 * answer stays a hole. Throws OperationalError when the feed or the store fails; the file is then as it was.
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
  const seasonality = known && known.until <= to ? known : undefined;
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
    const path = await store.setAside(asset, secondsToMillis(to));
    logger.warn({ asset, reason, path }, "Volatility state is corrupt: set aside, rebuilding");
    return { state: null, restart: `the state was corrupt (${reason}) and is set aside` };
  }
  const { state } = loaded;
  const why = unusable(state, parameters, to);
  return why === null ? { state, restart: null } : { state: null, restart: why, seasonality: state.seasonality };
}

function unusable(state: VolatilityState, parameters: VolatilityParameters, to: UnixSeconds): string | null {
  if (
    state.halfLifeMinuteSeconds !== parameters.halfLifeMinuteSeconds ||
    state.halfLifeFiveMinuteSeconds !== parameters.halfLifeFiveMinuteSeconds
  ) {
    return "the configured half-lives changed";
  }
  const behindSeconds = to - (newestCandle(state)!.openTime + MINUTE_STEP_SECONDS);
  if (behindSeconds > parameters.warmupSeconds) {
    return `the gap of ${(behindSeconds / SECONDS_PER_HOUR).toFixed(1)} h is longer than the warm-up`;
  }
  if (behindSeconds < -MAX_CLOCK_SKEW_SECONDS) return "the state is from the future: another clock made it";
  return null;
}

export function isoTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
}
