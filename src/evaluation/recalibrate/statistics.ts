import type { EngineName } from "../../engines/engine.ts";
import type { HorizonClass } from "../../engines/horizon.ts";
import { factorAt, type RecalibrationFactor } from "../../engines/recalibration.ts";
import type { AssetSymbol } from "../../market/assets.ts";
import type { DayStatistics, LengthStatistics, RecalibrationSeries } from "../../store/recalibration-store.ts";
import { SECONDS_PER_DAY } from "../../units.ts";
import type { BlockScore } from "./block-scores.ts";
import { estimateFactors } from "./estimate.ts";

/** One scored answer. */
export interface CountedAnswer {
  readonly asset: AssetSymbol;
  readonly horizon: HorizonClass;
  readonly engine: EngineName;
  readonly engineVersion: number;
  /** See EwmaInput; null where the answer does not tell. */
  readonly calibration: string | null;
  readonly endTime: number;
  /** What it was given with, so that the statistics are of the uncorrected model. */
  readonly applied: readonly RecalibrationFactor[];
  readonly blocks: readonly BlockScore[];
}

/**
 * Lengths that get a factor: the competitions' "change" intervals and their horizons. A factor that is recorded but not
 * applied would feed on itself, so each is one that a path model can correct at the competition's steps: nested lengths by
 * variance ratios, two steps by their lag-1 autocorrelation.
 */
export const FACTOR_LENGTHS: Readonly<Record<HorizonClass, readonly number[]>> = {
  "1h": [60, 120, 300, 900, 1800, 3600],
  "24h": [300, 1800, 10_800, 86_400],
};

const MAX_AGE_DAYS = 45;
/** An answer's blocks begin on two days at most, and answers come almost in order of time. */
const DAYS_WITH_SEEN = 3;

/** What one series is about: answers of another calibration are another model's. */
export function seriesKey(of: Pick<RecalibrationSeries, "asset" | "horizon" | "engine" | "calibration">): string {
  return `${of.asset} ${of.horizon} ${of.engine} ${of.calibration ?? ""}`;
}

/** A calibration that answers no more is taken back within days or not at all. */
const OUTLIVED_SECONDS = 10 * SECONDS_PER_DAY;
/** Of each asset, horizon and engine, however often the calibration changes. */
const MAX_CALIBRATIONS = 4;

/** Without the series of calibrations that another has outlived by ten days, and those beyond the newest four. */
export function withoutOutlived(all: Iterable<RecalibrationSeries>): RecalibrationSeries[] {
  const rivals = Map.groupBy(all, (one) => seriesKey({ ...one, calibration: null }));
  return [...rivals.values()].flatMap((series) => {
    const newestEnd = Math.max(...series.map((one) => one.newestEnd));
    return series
      .filter((one) => one.newestEnd >= newestEnd - OUTLIVED_SECONDS)
      .sort((a, b) => b.newestEnd - a.newestEnd)
      .slice(0, MAX_CALIBRATIONS);
  });
}

/** The series with one more answer, and its factors anew. A series of another version of the engine gives way. */
export function countAnswer(before: RecalibrationSeries | undefined, answer: CountedAnswer): RecalibrationSeries {
  const { asset, horizon, engine, engineVersion, calibration, endTime } = answer;
  const known = before?.engineVersion === engineVersion ? before : undefined;
  const lengths = new Map((known?.lengths ?? []).map((one) => [one.seconds, one.days]));
  for (const [seconds, blocks] of Map.groupBy(answer.blocks, (block) => block.seconds)) {
    if (!FACTOR_LENGTHS[horizon].includes(seconds)) continue;
    const factor = factorAt(answer.applied, seconds);
    lengths.set(seconds, withBlocks(lengths.get(seconds) ?? [], { seconds, factor, blocks }));
  }
  const ascending = [...lengths].sort(([a], [b]) => a - b).map(([seconds, days]) => ({ seconds, days }));
  return {
    asset,
    horizon,
    engine,
    engineVersion,
    calibration,
    prompts: (known?.prompts ?? 0) + 1,
    newestEnd: Math.max(known?.newestEnd ?? 0, endTime),
    lengths: estimateFactors(ascending),
  };
}

function withBlocks(
  before: LengthStatistics["days"],
  added: { readonly seconds: number; readonly factor: number; readonly blocks: readonly BlockScore[] },
): DayStatistics[] {
  const days = new Map(before.map((day) => [day.day, day]));
  for (const [day, blocks] of Map.groupBy(added.blocks, ({ startTime }) => Math.floor(startTime / SECONDS_PER_DAY))) {
    const known = days.get(day) ?? { day, sum: 0, blocks: 0, distinct: 0, seen: "" };
    const sum = blocks.reduce((total, block) => total + block.absoluteScore * added.factor, known.sum);
    days.set(day, { ...known, sum, blocks: known.blocks + blocks.length, ...markSeen(known, added.seconds, blocks) });
  }
  const newest = Math.max(...days.keys());
  return [...days.values()]
    .filter(({ day }) => day > newest - MAX_AGE_DAYS)
    .sort((a, b) => a.day - b.day)
    .map((day) => (day.day > newest - DAYS_WITH_SEEN ? day : { ...day, seen: null }));
}

function markSeen(
  known: Pick<DayStatistics, "seen" | "distinct">,
  seconds: number,
  blocks: readonly BlockScore[],
): Pick<DayStatistics, "seen" | "distinct"> {
  if (known.seen === null) return known;
  const bits = Buffer.alloc(Math.ceil(SECONDS_PER_DAY / seconds / 8));
  Buffer.from(known.seen, "base64").copy(bits);
  let { distinct } = known;
  for (const { startTime } of blocks) {
    const place = Math.floor((startTime % SECONDS_PER_DAY) / seconds);
    const mask = 1 << (place % 8);
    const byte = Math.floor(place / 8);
    if ((bits[byte]! & mask) !== 0) continue;
    bits[byte]! |= mask;
    distinct += 1;
  }
  return { seen: bits.toString("base64"), distinct };
}
