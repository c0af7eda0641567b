import { MINUTE_STEP_SECONDS } from "../../market/candle.ts";
import { newYorkOffsetSeconds } from "../../market/session.ts";
import { SECONDS_PER_DAY } from "../../units.ts";
import { barReturns, type BarReturns } from "../../volatility/features.ts";
import type { VolatilityState } from "../../volatility/state.ts";
import type { WeeklyProfile } from "../../volatility/weekly-profile.ts";
import { knowledgeOf, referenceSigma, weeklyFactor, type ScaleBasis } from "../ewma/scale.ts";

/** Base bars of the sequence: 42 hours of five minutes, eight and a half of one. */
export const SEQUENCE_BARS = 512;
/** Per bar: return and range, each over the bar's usual size. */
export const SEQUENCE_CHANNELS = 2;
/** Per bar of the network's input: return, range, and 1 where the bar was seen. */
export const INPUT_CHANNELS = 3;
export const CALENDAR_FEATURES = 4;

/** A bar beyond this many usual sizes is a broken one; the network compresses far below it. */
const MAX_SIZE = 50;

/** What a network sees of a state; one implementation for training and serving. */
export interface StateFeatures {
  /** x_k = ln(level / reference), by half-life of the calibration. */
  readonly features: Float32Array;
  /**
   * The newest SEQUENCE_BARS bars that were seen, row-major [bar, channel], oldest first: log return and ln(high / low), both
   * over level of the slowest half-life times weekly factor. NaN before the first bar.
   */
  readonly sequence: Float32Array;
}

/** What a state of an asset is looked at with. */
export interface FeatureBasis {
  readonly horizon: ScaleBasis;
  readonly weekly: WeeklyProfile;
  readonly offHoursMultiplier: number;
}

/** Of a state, or why it has none. */
export function stateFeatures(
  state: VolatilityState,
  { horizon, weekly, offHoursMultiplier }: FeatureBasis,
): StateFeatures | { readonly code: string; readonly message: string } {
  const knowledge = knowledgeOf(state, horizon, { weekly, offHoursMultiplier });
  if ("code" in knowledge) return knowledge;
  const { stepSeconds } = horizon;
  const level = referenceSigma(state.asset, stepSeconds) * Math.exp(knowledge.features.at(-1)!);
  return {
    features: Float32Array.from(knowledge.features),
    sequence: sequenceOf(state, { stepSeconds, level, profile: knowledge.profile, offHoursMultiplier }),
  };
}

function sequenceOf(
  state: VolatilityState,
  bar: {
    readonly stepSeconds: number;
    readonly level: number;
    readonly profile: WeeklyProfile;
    readonly offHoursMultiplier: number;
  },
): Float32Array {
  const { stepSeconds, level, profile } = bar;
  const all = barReturns(state, stepSeconds);
  const bars = { openTime: all.openTime.slice(-SEQUENCE_BARS), logReturn: all.logReturn.slice(-SEQUENCE_BARS) };
  const ranges = barRanges(state, bars, stepSeconds);
  const sequence = new Float32Array(SEQUENCE_BARS * SEQUENCE_CHANNELS).fill(NaN);
  const first = SEQUENCE_BARS - bars.openTime.length;
  bars.openTime.forEach((time, i) => {
    const size = level * weeklyFactor(profile, time, bar);
    const at = (first + i) * SEQUENCE_CHANNELS;
    sequence[at] = bars.logReturn[i]! / size;
    sequence[at + 1] = ranges[i]! / size;
  });
  return sequence;
}

/** ln(high / low) of each bar from the candles inside it, be they minutes or the bar itself as its last minute. */
function barRanges({ candles }: VolatilityState, { openTime }: BarReturns, stepSeconds: number): Float64Array {
  const { high, low, openTime: candleTime } = candles;
  let candle = 0;
  return openTime.map((from) => {
    let [top, bottom] = [-Infinity, Infinity];
    while (candleTime[candle]! < from) candle++;
    for (; candleTime[candle]! + MINUTE_STEP_SECONDS <= from + stepSeconds; candle++) {
      top = Math.max(top, high[candle]!);
      bottom = Math.min(bottom, low[candle]!);
    }
    return Math.log(top / bottom);
  });
}

/**
 * A sequence as the network takes it, row-major [bar, channel]: return and range, cut at ±50 usual sizes, then 1; zeros in
 * place of bars that were not seen.
 */
export function sequenceInput(sequence: Float32Array): Float32Array {
  const input = new Float32Array(SEQUENCE_BARS * INPUT_CHANNELS);
  for (let bar = 0; bar < SEQUENCE_BARS; bar++) {
    const move = sequence[bar * SEQUENCE_CHANNELS]!;
    const range = sequence[bar * SEQUENCE_CHANNELS + 1]!;
    if (Number.isNaN(move)) continue;
    input[bar * INPUT_CHANNELS] = Math.min(Math.max(move, -MAX_SIZE), MAX_SIZE);
    input[bar * INPUT_CHANNELS + 1] = Math.min(range, MAX_SIZE);
    input[bar * INPUT_CHANNELS + 2] = 1;
  }
  return input;
}

/** The epoch was a Thursday. */
const MONDAY_OFFSET_DAYS = 3;

/** Sine and cosine of the start's place in the New York day, then in the New York week (from Monday). */
export function calendarOf(start: number): Float32Array {
  const day = (start + newYorkOffsetSeconds(start)) / SECONDS_PER_DAY;
  const angles = [day % 1, ((day + MONDAY_OFFSET_DAYS) / 7) % 1].map((share) => 2 * Math.PI * share);
  return Float32Array.from(angles.flatMap((angle) => [Math.sin(angle), Math.cos(angle)]));
}
