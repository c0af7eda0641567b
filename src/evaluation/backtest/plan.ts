import { ARCHIVE_STEPS } from "../../feeds/recorded/archive.ts";
import type { AssetSymbol } from "../../market/assets.ts";
import { SECONDS_PER_DAY } from "../../units.ts";
import {
  firstAtOrAfter,
  observationTime,
  readTimeline,
  REQUEST_LEAD_SECONDS,
  sourcesOf,
  type CandleSource,
  type Timeline,
} from "./data.ts";
import { SKIP_REASONS, type Resolution, type SkipReason } from "./report.ts";

export interface Prompt {
  readonly asset: AssetSymbol;
  /** Unix seconds. */
  readonly start: number;
  readonly horizonSeconds: number;
  readonly stepSeconds: number;
}

/** Consecutive prompts that one worker answers with one state, advanced from origin to origin. */
export interface Chunk {
  readonly asset: AssetSymbol;
  readonly source: CandleSource;
  /** Close time of the first candle that the state may use. */
  readonly historyFrom: number;
  readonly horizonSeconds: number;
  readonly stepSeconds: number;
  /** Ascending. */
  readonly starts: readonly number[];
}

export interface Plan {
  readonly chunks: readonly Chunk[];
  readonly skipped: readonly { readonly prompt: Prompt; readonly reason: SkipReason }[];
}

/** An engine needs this much of the same instrument before the cut-off. */
const MIN_HISTORY_SECONDS = SECONDS_PER_DAY;
/**
 * The state starts this long before a chunk's first origin, or with the instrument. Two months
 * show the rhythm of the week; of the moments, what came before weighs nothing. Chunks do not depend on the number of workers, so neither do scores.
 */
export const HISTORY_SECONDS = 60 * SECONDS_PER_DAY;
/** Grid points of one chunk: seconds of work, so that progress shows and an interruption is answered. */
const CHUNK_POINTS = 7500;
/** The subnet's longest grid has 289 points. */
const MAX_POINTS = 10_000;

/** Whether a prompt's grid can be answered at all. */
export function isGrid({ horizonSeconds, stepSeconds }: Prompt): boolean {
  return (
    Number.isSafeInteger(stepSeconds) &&
    stepSeconds > 0 &&
    Number.isSafeInteger(horizonSeconds) &&
    horizonSeconds >= stepSeconds &&
    horizonSeconds % stepSeconds === 0 &&
    horizonSeconds / stepSeconds < MAX_POINTS
  );
}

/**
 * Chooses for every prompt the first source whose candles can answer it, or says why none can: the reason of the source
 * that came furthest. Prompts of one plan may be in any order.
 */
export function planPrompts(
  prompts: readonly Prompt[],
  options: {
    readonly dirs: readonly string[];
    readonly minObserved: number;
    /** Of the state before a chunk's first origin; default HISTORY_SECONDS. */
    readonly historySeconds?: number;
    /** Only sources of this resolution; default: every one that fits the grid, finer first. */
    readonly resolution?: Resolution;
    /** Grid points of a chunk; Infinity keeps a run of one instrument whole. */
    readonly chunkPoints?: number;
  },
): Plan {
  const { historySeconds = HISTORY_SECONDS, chunkPoints = CHUNK_POINTS, resolution } = options;
  const sourcesFor = (asset: AssetSymbol): CandleSource[] =>
    sourcesOf(asset, options.dirs).filter((source) => resolution === undefined || source.resolution === resolution);
  const skipped: { prompt: Prompt; reason: SkipReason }[] = [];
  const groups = new Map<
    string,
    { chunk: Omit<Chunk, "starts" | "historyFrom">; runStart: number; starts: number[] }
  >();
  for (const [asset, own] of Map.groupBy(prompts, (prompt) => prompt.asset)) {
    const timelines = timelinesOf(sourcesFor(asset), own, historySeconds);
    for (const prompt of own) {
      const choice = isGrid(prompt) ? choose(prompt, timelines, options.minObserved) : "bad_prompt";
      if (typeof choice === "string") {
        skipped.push({ prompt, reason: choice });
        continue;
      }
      const { source, runStart } = choice;
      const { start, horizonSeconds, stepSeconds } = prompt;
      const key = JSON.stringify([asset, source, runStart, horizonSeconds, stepSeconds]);
      const group = groups.get(key) ?? { chunk: { asset, source, horizonSeconds, stepSeconds }, runStart, starts: [] };
      group.starts.push(start);
      groups.set(key, group);
    }
  }
  const chunks = [...groups.values()].flatMap(({ chunk, runStart, starts }) => {
    const size = Math.min(
      starts.length,
      Math.max(1, Math.floor(chunkPoints / (chunk.horizonSeconds / chunk.stepSeconds))),
    );
    const sorted = starts.sort((a, b) => a - b);
    return Array.from({ length: Math.ceil(sorted.length / size) }, (_, i): Chunk => {
      const own = sorted.slice(i * size, (i + 1) * size);
      return { ...chunk, starts: own, historyFrom: Math.max(runStart, own[0]! - historySeconds) };
    });
  });
  // By time: what an interruption leaves has all assets.
  return { chunks: chunks.sort((a, b) => a.starts[0]! - b.starts[0]!), skipped };
}

type SourceTimeline = { readonly source: CandleSource; readonly timeline: Timeline };

function timelinesOf(
  sources: readonly CandleSource[],
  prompts: readonly Prompt[],
  historySeconds: number,
): SourceTimeline[] {
  const grids = prompts.filter(isGrid);
  const from = grids.reduce((first, { start }) => Math.min(first, start), Infinity) - historySeconds;
  const to = grids.reduce((last, { start, horizonSeconds }) => Math.max(last, start + horizonSeconds), -Infinity);
  if (!(from < to)) return [];
  // A finer or coarser bar than a minute may close up to its step after the last grid time.
  return sources.map((source) => ({
    source,
    timeline: readTimeline(source, from, to + ARCHIVE_STEPS[source.resolution]),
  }));
}

function choose(
  prompt: Prompt,
  timelines: readonly SourceTimeline[],
  minObserved: number,
): { source: CandleSource; runStart: number } | SkipReason {
  let furthest = 0;
  for (const { source, timeline } of timelines) {
    if (prompt.stepSeconds % ARCHIVE_STEPS[source.resolution] !== 0) continue;
    const judged = judge(prompt, { source, timeline, minObserved });
    if (typeof judged === "number") return { source, runStart: judged };
    furthest = Math.max(furthest, SKIP_REASONS.indexOf(judged));
  }
  return SKIP_REASONS[furthest]!;
}

/** The close time of the first candle of the run that answers the prompt, or why this source does not. */
function judge(
  { start, horizonSeconds, stepSeconds }: Prompt,
  { source, timeline, minObserved }: SourceTimeline & { readonly minObserved: number },
): number | SkipReason {
  const { closeTimes, runStarts, borders } = timeline;
  const step = timeline.stepSeconds;
  const first = observationTime(start, source.resolution);
  const last = observationTime(start + horizonSeconds, source.resolution);
  const begin = firstAtOrAfter(closeTimes, first);
  if (begin === firstAtOrAfter(closeTimes, last + 1)) return "no_candles";
  if (firstAtOrAfter(borders, first - step + 1) !== firstAtOrAfter(borders, last - step + 1)) return "segment_border";

  const cutoff = start - REQUEST_LEAD_SECONDS;
  const known = firstAtOrAfter(closeTimes, cutoff + 1) - 1;
  if (known < 0 || runStarts[known] !== runStarts[begin]) return "short_history";
  const runStart = runStarts[known]!;
  if (runStart - step > cutoff - MIN_HISTORY_SECONDS) return "short_history";

  const points = horizonSeconds / stepSeconds + 1;
  let observed = 0;
  for (let point = 0; point < points; point++) {
    const time = observationTime(start + point * stepSeconds, source.resolution);
    if (closeTimes[firstAtOrAfter(closeTimes, time)] === time) observed++;
  }
  return observed < minObserved * points ? "missing_points" : runStart;
}
