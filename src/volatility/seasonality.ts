import { newYorkOffsetSeconds } from "../market/session.ts";
import { FIVE_MINUTE_STEP_SECONDS, MINUTE_STEP_SECONDS } from "../market/candle.ts";
import { SECONDS_PER_DAY, SECONDS_PER_HOUR } from "../units.ts";
import { EMPTY_MOMENT, updateMoment } from "./ewma.ts";
import type { SeasonalityStats } from "./state.ts";

/**
 * Long-run statistics of the weekly rhythm of volatility: mean |log return| over its own slow level, by five-minute bin
 * of the New York week and by minute of the hour (Hansen, Kim & Kimbrough, arXiv 2109.12142, for crypto; the absolute
 * return because squares chase outliers). The New York clock for every asset: US-linked markets keep it through both
 * clock changes, and crypto fits it a little better than UTC.
 */
export const WEEK_BINS = (7 * SECONDS_PER_DAY) / FIVE_MINUTE_STEP_SECONDS;
export const MINUTE_BINS = 60;

/** 1970-01-01 was a Thursday: bin 0 is Monday 00:00. */
const MONDAY_OFFSET_SECONDS = 3 * SECONDS_PER_DAY;
/** Observations fade with this half-life; their weights grow from here instead, so that no sum is ever rescaled. */
const HALF_LIFE_SECONDS = 120 * SECONDS_PER_DAY;
const WEIGHT_EPOCH_SECONDS = Date.UTC(2026, 0) / 1000;
/** The level must forget weeks slowly enough to leave their rhythm in, and regimes fast enough to take them out. */
const LEVEL_HALF_LIFE_SECONDS = 3.5 * SECONDS_PER_DAY;
/** A level from less than half a day says nothing about the rest of it. */
const MIN_LEVEL_MASS = 0.1;
/** Larger ratios are news, not rhythm. */
const MAX_RATIO = 8;

export function weekBin(time: number): number {
  const local = time + newYorkOffsetSeconds(time) + MONDAY_OFFSET_SECONDS;
  return Math.floor(local / FIVE_MINUTE_STEP_SECONDS) % WEEK_BINS;
}

export function minuteBin(time: number): number {
  return Math.floor((time % SECONDS_PER_HOUR) / MINUTE_STEP_SECONDS);
}

/** The weight of an observation at `time`, relative to one at the epoch. */
export function weightAt(time: number): number {
  return 2 ** ((time - WEIGHT_EPOCH_SECONDS) / HALF_LIFE_SECONDS);
}

export function emptySeasonality(): SeasonalityStats {
  return {
    weekSum: new Float64Array(WEEK_BINS),
    weekWeight: new Float64Array(WEEK_BINS),
    minuteSum: new Float64Array(MINUTE_BINS),
    minuteWeight: new Float64Array(MINUTE_BINS),
    levelFiveMinute: EMPTY_MOMENT,
    levelMinute: EMPTY_MOMENT,
    until: 0,
  };
}

/** One bar's log return, from the close of the bar right before it. */
export interface BarReturn {
  readonly openTime: number;
  /** One minute or five. */
  readonly stepSeconds: number;
  readonly logReturn: number;
}

/** Counts returns into a copy of `stats`; those that open at or before `until` were counted by an earlier life. */
export function countSeasonality(stats: SeasonalityStats, returns: readonly BarReturn[]): SeasonalityStats {
  if (returns.length === 0) return stats;
  const next = {
    ...stats,
    weekSum: stats.weekSum.slice(),
    weekWeight: stats.weekWeight.slice(),
    minuteSum: stats.minuteSum.slice(),
    minuteWeight: stats.minuteWeight.slice(),
  };
  let { until } = stats;
  for (const bar of returns) {
    if (bar.openTime + bar.stepSeconds <= stats.until) continue;
    until = Math.max(until, bar.openTime + bar.stepSeconds);
    const isMinute = bar.stepSeconds === MINUTE_STEP_SECONDS;
    const level = isMinute ? next.levelMinute : next.levelFiveMinute;
    const size = Math.abs(bar.logReturn);
    if (level.mass >= MIN_LEVEL_MASS && level.value > 0) {
      const ratio = Math.min((size * level.mass) / level.value, MAX_RATIO);
      const weight = weightAt(bar.openTime);
      const bin = isMinute ? minuteBin(bar.openTime) : weekBin(bar.openTime);
      const [sums, weights] = isMinute ? [next.minuteSum, next.minuteWeight] : [next.weekSum, next.weekWeight];
      sums[bin]! += weight * ratio;
      weights[bin]! += weight;
    }
    const updated = updateMoment(level, {
      // The moment averages squares; the square of the root of a size is the size.
      logReturn: Math.sqrt(size),
      steps: 1,
      stepSeconds: bar.stepSeconds,
      halfLifeSeconds: LEVEL_HALF_LIFE_SECONDS,
    });
    if (isMinute) next.levelMinute = updated;
    else next.levelFiveMinute = updated;
  }
  return { ...next, until };
}
