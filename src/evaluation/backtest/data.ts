import { CandleArchive, ARCHIVE_STEPS, type RecordedWindow } from "../../feeds/recorded/archive.ts";
import { ASSETS, type AssetSymbol } from "../../market/assets.ts";
import { MINUTE_STEP_SECONDS, type Candle } from "../../market/candle.ts";
import { SECONDS_PER_DAY } from "../../units.ts";
import { lastMinuteOf } from "../../volatility/resample.ts";
import type { Resolution } from "./report.ts";

/** Candles of one asset in one folder of one data directory; plain data, so that worker threads can open it too. */
export interface CandleSource {
  readonly dir: string;
  readonly resolution: Resolution;
  readonly folder: string;
  /** From the recorded level to the asset's. */
  readonly priceFactor: number;
}

/**
 * What is known before the start time T of a prompt: candles that had closed at T - 60 s. With minutes the last one
 * opens at T - 120 s, with five-minute bars at T - 360 s or before.
 */
export const REQUEST_LEAD_SECONDS = 60;

/** Where no segments.csv says otherwise: closed markets pause for a long weekend, not longer. */
const MAX_PAUSE_SECONDS = 4.5 * SECONDS_PER_DAY;

/** Opens each directory once; a thread keeps its own. */
const archives = new Map<string, CandleArchive>();

function archiveOf({ dir, resolution }: Pick<CandleSource, "dir" | "resolution">): CandleArchive {
  const key = `${resolution} ${dir}`;
  const known = archives.get(key) ?? new CandleArchive(dir, resolution);
  archives.set(key, known);
  return known;
}

/**
 * Sources of an asset in order of preference: directories as given, finer candles first. A folder may have the name of
 * the recording that stands for the asset, or the asset's own.
 */
export function sourcesOf(asset: AssetSymbol, dirs: readonly string[]): CandleSource[] {
  const { folder, priceFactor } = ASSETS[asset].recorded;
  const folders = [{ folder, priceFactor }, ...(folder === asset ? [] : [{ folder: asset, priceFactor: 1 }])];
  const resolutions: readonly Resolution[] = ["1m", "5m"];
  return dirs
    .flatMap((dir) => resolutions.flatMap((resolution) => folders.map((each) => ({ dir, resolution, ...each }))))
    .filter((source) => spanOf(source) !== null);
}

/** Whole months that have a file. */
export function spanOf(source: CandleSource): { readonly from: number; readonly to: number } | null {
  return archiveOf(source).span(source.folder);
}

/**
 * Candles that close in `(from, to]` (unix seconds), prices at the asset's level, five-minute bars as their last minute:
 * the close of every candle is known at its openTime + 60.
 */
export function closedCandles(source: CandleSource, from: number, to: number): Candle[] {
  const step = ARCHIVE_STEPS[source.resolution];
  return archiveOf(source)
    .range(source.folder, from - step + 1, to - step + 1)
    .map((candle) => scaled(step === MINUTE_STEP_SECONDS ? candle : lastMinuteOf(candle), source.priceFactor));
}

function scaled(candle: Candle, factor: number): Candle {
  if (factor === 1) return candle;
  const { open, high, low, close } = candle;
  return { ...candle, open: open * factor, high: high * factor, low: low * factor, close: close * factor };
}

function closeTimeOf(candle: Candle): number {
  return candle.openTime + MINUTE_STEP_SECONDS;
}

/**
 * Close time of the candle whose close is "the price at T". Minutes: the one that opens at T (that holds T), as the
 * validators index them. Five-minute bars: the bar that closes at T, or the first to close after it; the bar that opens
 * at T would be the price four minutes later than the validators'. Point 0 and all others are shifted alike, so every
 * interval has its length, and no point is known before T - 60 s.
 */
export function observationTime(time: number, resolution: Resolution): number {
  const step = ARCHIVE_STEPS[resolution];
  return resolution === "1m" ? Math.floor(time / step) * step + step : Math.ceil(time / step) * step;
}

/** Realised prices at `points` grid times from `start` on; NaN where no candle was recorded. */
export function realisedPrices(
  source: CandleSource,
  grid: { readonly start: number; readonly stepSeconds: number; readonly points: number },
): Float64Array {
  const times = Array.from({ length: grid.points }, (_, i) =>
    observationTime(grid.start + i * grid.stepSeconds, source.resolution),
  );
  const closes = new Map(
    closedCandles(source, times[0]! - 1, times.at(-1)!).map((candle) => [closeTimeOf(candle), candle.close]),
  );
  return Float64Array.from(times, (time) => closes.get(time) ?? NaN);
}

/** Runs of one instrument by their candles' close times, ascending. Returns are never taken across their borders. */
export interface Timeline {
  readonly closeTimes: Float64Array;
  /** Close time of the first candle of the run that each candle belongs to, within what was read. */
  readonly runStarts: Float64Array;
  /** Open times at which an instrument begins or ends (segments.csv), ascending. */
  readonly borders: Float64Array;
  readonly stepSeconds: number;
}

export function readTimeline(source: CandleSource, from: number, to: number): Timeline {
  const closeTimes = Float64Array.from(closedCandles(source, from, to), closeTimeOf);
  const borders = bordersOf(archiveOf(source).segments(source.folder));
  const step = ARCHIVE_STEPS[source.resolution];
  const runStarts = new Float64Array(closeTimes.length);
  let passed = 0;
  for (let i = 0; i < closeTimes.length; i++) {
    const time = closeTimes[i]!;
    const before = passed;
    while (passed < borders.length && borders[passed]! <= time - step) passed++;
    const begins = i === 0 || passed !== before || time - closeTimes[i - 1]! > MAX_PAUSE_SECONDS;
    runStarts[i] = begins ? time : runStarts[i - 1]!;
  }
  return { closeTimes, runStarts, borders, stepSeconds: step };
}

function bordersOf(segments: readonly RecordedWindow[] | null): Float64Array {
  return Float64Array.from(new Set((segments ?? []).flatMap(({ from, to }) => [from, to]))).sort();
}

/** Index of the first of the ascending times at or after `time`. */
export function firstAtOrAfter(times: Float64Array, time: number): number {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (times[middle]! < time) low = middle + 1;
    else high = middle;
  }
  return low;
}
