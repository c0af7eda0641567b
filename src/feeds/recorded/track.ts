import { ASSETS, type AssetSymbol } from "../../market/assets.ts";
import type { Candle } from "../../market/candle.ts";
import { SECONDS_PER_DAY, SECONDS_PER_HOUR, unixSeconds } from "../../units.ts";
import type { CandleArchive, RecordedWindow } from "./archive.ts";
import { CandleGenerator } from "./generator.ts";

/** What one asset plays on the market's time axis, past and future alike. */
export interface Track {
  readonly kind: "recorded" | "generated";
  /** For people: which recording, or why none. */
  readonly description: string;
  /** Candles with open times in `[from, to)`, ascending. */
  range(from: number, to: number): Candle[];
  /** Where the unbroken window that holds `time` begins: no answer reaches across. */
  windowStart(time: number): number;
}

const WEEK_SECONDS = 7 * SECONDS_PER_DAY;
const GOOD_HISTORY_SECONDS = 6 * SECONDS_PER_DAY;
const LEAST_HISTORY_SECONDS = 4 * SECONDS_PER_HOUR;
/** A window that is about to end is no good to start in. */
const LEAST_FUTURE_SECONDS = 6 * SECONDS_PER_HOUR;
/** A weekend or a holiday after a window's end still belongs to it, if nothing follows sooner. */
const WINDOW_REACH_SECONDS = 4 * SECONDS_PER_DAY;
/** Ranges longer than this are never needed to find a window's first and last bar. */
const EDGE_SECONDS = 5 * SECONDS_PER_DAY;

export interface TrackChoice {
  readonly archive: CandleArchive | null;
  readonly seed: number;
  /** The market clock at the start, unix seconds. */
  readonly startSeconds: number;
  /** "recorded": candles at their own time; "retimed": shifted by whole weeks so that they play now. */
  readonly timing: "recorded" | "retimed";
}

export function chooseTrack(asset: AssetSymbol, choice: TrackChoice): Track {
  const { archive, seed, startSeconds, timing } = choice;
  const { folder } = ASSETS[asset].recorded;
  const resolutions = archive?.resolutions(folder) ?? [];
  if (archive === null || !resolutions.includes("1m")) {
    const reason = resolutions.length > 0 ? `only ${resolutions.join(" and ")} recorded` : "no recording";
    return generatedTrack(asset, seed, reason);
  }
  const windows = archive.windows(folder, timing === "recorded" ? startSeconds : null);
  const track =
    timing === "recorded"
      ? trackAtRecordedTime({ asset, archive, windows, startSeconds })
      : retimedTrack({ asset, archive, windows, startSeconds });
  if (track !== null) return track;
  const reason =
    timing === "recorded" ? `not recorded around ${isoMinute(startSeconds)}` : "no window with enough history for now";
  const problems = problemsText(archive.problems(folder, startSeconds, startSeconds + 1));
  return generatedTrack(asset, seed, reason + problems);
}

function generatedTrack(asset: AssetSymbol, seed: number, reason: string): Track {
  const generator = new CandleGenerator({ seed, asset });
  return {
    kind: "generated",
    description: `generated (seed ${seed}): ${reason}`,
    range: (from, to) => generator.range(from, to),
    windowStart: () => -Infinity,
  };
}

interface Recording {
  readonly asset: AssetSymbol;
  readonly archive: CandleArchive;
  readonly windows: readonly RecordedWindow[];
  readonly startSeconds: number;
}

function trackAtRecordedTime({ asset, archive, windows, startSeconds }: Recording): Track | null {
  const { folder, priceFactor } = ASSETS[asset].recorded;
  const current = windows.findLast(({ from }) => from + 60 <= startSeconds);
  if (current === undefined || startSeconds >= current.to + WINDOW_REACH_SECONDS) return null;
  const problems = problemsText(archive.problems(folder, current.from, current.to));
  return {
    kind: "recorded",
    description: `recorded ${folder} ${describeWindow(current)}${problems}`,
    range: (from, to) =>
      windows.flatMap((window) =>
        archive
          .range(folder, Math.max(from, window.from), Math.min(to, window.to))
          .map((candle) => levelled(candle, { factor: priceFactor, shiftSeconds: 0 })),
      ),
    windowStart: (time) => windows.findLast(({ from }) => from <= time)?.from ?? -Infinity,
  };
}

/** Weeks to add to a window so that it plays now, at the earliest place that has the history; null when there is none. */
function weeksToNow(window: RecordedWindow, startSeconds: number, historySeconds: number): number | null {
  const weeks = Math.floor((startSeconds - window.from - historySeconds) / WEEK_SECONDS);
  const playing = startSeconds - weeks * WEEK_SECONDS;
  return playing <= window.to - LEAST_FUTURE_SECONDS ? weeks : null;
}

/** The latest window with six days of history behind the present minute of the week, else the longest history there is. */
function chooseWindow(
  windows: readonly RecordedWindow[],
  startSeconds: number,
): { readonly window: RecordedWindow; readonly weeks: number } | null {
  for (const window of windows.toReversed()) {
    const weeks = weeksToNow(window, startSeconds, GOOD_HISTORY_SECONDS);
    if (weeks !== null) return { window, weeks };
  }
  const candidates = windows.flatMap((window) => {
    // Shorter than six days: at most one week shift has both a past and a future.
    const weeks = weeksToNow(window, startSeconds, LEAST_HISTORY_SECONDS);
    return weeks === null ? [] : [{ window, weeks, history: startSeconds - weeks * WEEK_SECONDS - window.from }];
  });
  return candidates.sort((left, right) => right.history - left.history)[0] ?? null;
}

/**
 * A window shifted by whole weeks. When the clock has passed its end it plays again from as many whole weeks earlier as
 * fit, brought to the level of the last close, one minute left out at the seam.
 */
function retimedTrack({ asset, archive, windows, startSeconds }: Recording): Track | null {
  const { folder, priceFactor } = ASSETS[asset].recorded;
  const choice = chooseWindow(windows, startSeconds);
  if (choice === null) return null;
  const { window, weeks } = choice;
  const shift = weeks * WEEK_SECONDS;
  const period = Math.max(1, Math.floor((window.to - window.from) / WEEK_SECONDS)) * WEEK_SECONDS;
  const loopFrom = window.to - period;
  const problems = problemsText(archive.problems(folder, window.from, window.to));
  let loopFactor: number | null = null;

  /** Level of one further pass against the one before. */
  function factorPerPass(): number {
    if (loopFactor !== null) return loopFactor;
    const first = archive.range(folder, Math.max(loopFrom + 60, window.from), loopFrom + EDGE_SECONDS)[0];
    const last = archive.range(folder, window.to - EDGE_SECONDS, window.to).at(-1);
    loopFactor = first && last ? last.close / first.open : 1;
    return loopFactor;
  }

  /** Pass 0 is the window itself; pass n the loop, n periods later. */
  function pass(index: number, from: number, to: number): Candle[] {
    const shiftSeconds = shift + index * period;
    const start = index === 0 ? window.from : Math.max(loopFrom + 60, window.from);
    const [playFrom, playTo] = [Math.max(from - shiftSeconds, start), Math.min(to - shiftSeconds, window.to)];
    if (playFrom >= playTo) return [];
    const factor = index === 0 ? priceFactor : priceFactor * factorPerPass() ** index;
    return archive.range(folder, playFrom, playTo).map((candle) => levelled(candle, { factor, shiftSeconds }));
  }

  const passAt = (time: number): number => Math.max(0, Math.ceil((time + 1 - shift - window.to) / period));
  return {
    kind: "recorded",
    description: `recorded ${folder} ${describeWindow(window)}, ${weeks} weeks later${problems}`,
    range: (from, to) => {
      const candles: Candle[] = [];
      for (let index = passAt(from); index <= passAt(to - 1); index += 1) candles.push(...pass(index, from, to));
      return candles;
    },
    windowStart: () => window.from + shift,
  };
}

function levelled(candle: Candle, options: { factor: number; shiftSeconds: number }): Candle {
  const { factor, shiftSeconds } = options;
  const openTime = unixSeconds(candle.openTime + shiftSeconds);
  if (factor === 1) return { ...candle, openTime };
  // Ten digits are what an exchange would print; a product of two doubles has more.
  const price = (value: number): number => Number((value * factor).toPrecision(10));
  const { open, high, low, close } = candle;
  return { ...candle, openTime, open: price(open), high: price(high), low: price(low), close: price(close) };
}

function problemsText(problems: readonly string[]): string {
  return problems.map((problem) => `; ${problem}`).join("");
}

function isoMinute(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ");
}

function describeWindow({ instrument, from, to }: RecordedWindow): string {
  return `${instrument} ${isoMinute(from)} to ${isoMinute(to - 60)}`;
}
