import type { AssetSymbol, SourceName } from "../market/assets.ts";
import { FIVE_MINUTE_STEP_SECONDS, MINUTE_STEP_SECONDS, type Candle } from "../market/candle.ts";
import { unixSeconds } from "../units.ts";
import { decayMoment, EMPTY_MOMENT, updateMoment } from "./ewma.ts";
import { addMinute } from "./resample.ts";
import { countSeasonality, emptySeasonality, type BarReturn } from "./seasonality.ts";
import {
  VOLATILITY_STATE_SCHEMA,
  newestCandle,
  type CandleColumns,
  type SeasonalityStats,
  type VolatilityState,
} from "./state.ts";

export interface HalfLives {
  readonly halfLifeMinuteSeconds: number;
  readonly halfLifeFiveMinuteSeconds: number;
}

export interface AdvanceOptions {
  /** Who published these candles. */
  readonly source: SourceName;
  /** A longer gap restarts the warm-up. */
  readonly warmupSeconds: number;
  /** Candles this much older than the newest one are dropped. */
  readonly retentionSeconds: number;
}

/**
 * A log return beyond this between two neighbouring candles (-39 %, +65 %) is no return but another level: a source
 * that quotes other units, a split, a bad print. It would sit in the variance for many half-lives.
 */
const MAX_LOG_RETURN = 0.5;

/** Everything of a state but its candles. */
type Recursion = Omit<VolatilityState, "candles" | "seasonality">;

/** A recursion and the returns it took, for the seasonality. */
interface Step {
  readonly after: Recursion;
  readonly returns: readonly BarReturn[];
}

/** A state before its first candle; `advance` begins it, and a store saves it only from then on. */
export function startState(
  start: { asset: AssetSymbol; source: SourceName; seasonality?: SeasonalityStats } & HalfLives,
): VolatilityState {
  const none = new Float64Array();
  return {
    schema: VOLATILITY_STATE_SCHEMA,
    asset: start.asset,
    source: start.source,
    warmFrom: unixSeconds(0),
    candleCount: 0,
    gapCount: 0,
    sigma2Minute: EMPTY_MOMENT,
    sigma2FiveMinute: EMPTY_MOMENT,
    halfLifeMinuteSeconds: start.halfLifeMinuteSeconds,
    halfLifeFiveMinuteSeconds: start.halfLifeFiveMinuteSeconds,
    sourceBorders: [],
    openBucket: null,
    lastFiveMinute: null,
    seasonality: start.seasonality ?? emptySeasonality(),
    candles: { openTime: none, open: none, high: none, low: none, close: none, volume: none },
  };
}

/**
 * The state after these candles, and a function of nothing else: `advance(s, [...a, ...b])` equals
 * `advance(advance(s, a), b)` to the last bit, also with the state saved and loaded in between. Candles at or before
 * the newest known one are ignored. A gap longer than the warm-up, and a jump to another price level, restart: the
 * candle after it is then the first of the state (`warmFrom`). Between candles of two sources there is no return: the
 * basis between them would sit in the variance for hours. What was known decays by the time that passed.
 */
export function advance(state: VolatilityState, candles: readonly Candle[], options: AdvanceOptions): VolatilityState {
  const { candles: columns, seasonality, ...start } = state;
  let recursion: Recursion = start;
  const returns: BarReturn[] = [];
  let newest = newestCandle(state);
  let known = columns;
  let added: Candle[] = [];
  for (const candle of candles) {
    if (newest !== null && candle.openTime <= newest.openTime) continue;
    if (newest === null || isRestart(newest, candle, options.warmupSeconds)) {
      const fresh = startState({ ...state, source: options.source });
      recursion = withCandle({ ...fresh, warmFrom: candle.openTime }, null, candle).after;
      known = fresh.candles;
      added = [];
    } else {
      const switched = recursion.source !== options.source;
      const before = switched ? switchSource(recursion, options.source, { newest, candle }) : recursion;
      const step = withCandle(before, switched ? null : newest, candle);
      recursion = step.after;
      returns.push(...step.returns);
    }
    newest = { openTime: candle.openTime, close: candle.close };
    added.push(candle);
  }
  if (newest === null || added.length === 0) return state;
  const oldest = newest.openTime - options.retentionSeconds;
  return {
    ...recursion,
    source: options.source,
    sourceBorders: recursion.sourceBorders.filter((border) => border > oldest),
    seasonality: countSeasonality(seasonality, returns),
    candles: appendCandles(known, added, oldest),
  };
}

function isRestart(newest: { openTime: number; close: number }, candle: Candle, warmupSeconds: number): boolean {
  return (
    candle.openTime - newest.openTime > warmupSeconds ||
    Math.abs(Math.log(candle.close / newest.close)) > MAX_LOG_RETURN
  );
}

/** Both moments after the time without an observation, ready for candles of another source. */
function switchSource(
  before: Recursion,
  source: SourceName,
  { newest, candle }: { readonly newest: { readonly openTime: number }; readonly candle: Candle },
): Recursion {
  const seconds = candle.openTime - newest.openTime;
  return {
    ...before,
    source,
    sigma2Minute: decayMoment(before.sigma2Minute, seconds / before.halfLifeMinuteSeconds),
    sigma2FiveMinute: decayMoment(before.sigma2FiveMinute, seconds / before.halfLifeFiveMinuteSeconds),
    sourceBorders: [...before.sourceBorders, candle.openTime],
    openBucket: null,
    lastFiveMinute: null,
  };
}

function withCandle(before: Recursion, previous: { openTime: number; close: number } | null, candle: Candle): Step {
  const counted = { ...before, candleCount: before.candleCount + 1 };
  if (previous === null) return withFiveMinutes(counted, candle, []);
  const steps = (candle.openTime - previous.openTime) / MINUTE_STEP_SECONDS;
  const logReturn = Math.log(candle.close / previous.close);
  const sigma2Minute = updateMoment(before.sigma2Minute, {
    logReturn,
    steps,
    stepSeconds: MINUTE_STEP_SECONDS,
    halfLifeSeconds: before.halfLifeMinuteSeconds,
  });
  const own = { openTime: candle.openTime, stepSeconds: MINUTE_STEP_SECONDS, logReturn };
  const after = { ...counted, gapCount: before.gapCount + (steps > 1 ? 1 : 0), sigma2Minute };
  return withFiveMinutes(after, candle, steps === 1 ? [own] : []);
}

function withFiveMinutes(before: Recursion, candle: Candle, minuteReturns: readonly BarReturn[]): Step {
  const { completed, open } = addMinute(before.openBucket, candle);
  let { sigma2FiveMinute, lastFiveMinute } = before;
  const returns = [...minuteReturns];
  for (const bar of completed) {
    if (lastFiveMinute !== null) {
      const steps = (bar.openTime - lastFiveMinute.openTime) / FIVE_MINUTE_STEP_SECONDS;
      const logReturn = Math.log(bar.close / lastFiveMinute.close);
      sigma2FiveMinute = updateMoment(sigma2FiveMinute, {
        logReturn,
        steps,
        stepSeconds: FIVE_MINUTE_STEP_SECONDS,
        halfLifeSeconds: before.halfLifeFiveMinuteSeconds,
      });
      if (steps === 1) returns.push({ openTime: bar.openTime, stepSeconds: FIVE_MINUTE_STEP_SECONDS, logReturn });
    }
    lastFiveMinute = { openTime: bar.openTime, close: bar.close };
  }
  return { after: { ...before, openBucket: open, sigma2FiveMinute, lastFiveMinute }, returns };
}

/** `known` and then `added`, without what opened at or before `oldest` (seconds). */
function appendCandles(known: CandleColumns, added: readonly Candle[], oldest: number): CandleColumns {
  const from = known.openTime.findIndex((openTime) => openTime > oldest);
  const keptKnown = from < 0 ? 0 : known.openTime.length - from;
  const keptAdded = added.filter((candle) => candle.openTime > oldest);
  const join = (column: keyof CandleColumns): Float64Array => {
    const joined = new Float64Array(keptKnown + keptAdded.length);
    if (keptKnown > 0) joined.set(known[column].subarray(from));
    keptAdded.forEach((candle, index) => {
      joined[keptKnown + index] = candle[column] ?? NaN;
    });
    return joined;
  };
  return {
    openTime: join("openTime"),
    open: join("open"),
    high: join("high"),
    low: join("low"),
    close: join("close"),
    volume: join("volume"),
  };
}
