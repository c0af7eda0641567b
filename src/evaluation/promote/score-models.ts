import { ARCHIVE_STEPS } from "../../feeds/recorded/archive.ts";
import type { EngineName } from "../../engines/engine.ts";
import type { ModelEntry } from "../../engines/models/manifest.ts";
import type { AssetSymbol } from "../../market/assets.ts";
import { SECONDS_PER_DAY } from "../../units.ts";
import { readTimeline, sourcesOf, spanOf } from "../backtest/data.ts";
import type { BacktestSettings } from "../backtest/origin.ts";
import { planPrompts, type Chunk } from "../backtest/plan.ts";
import { defaultStride, HORIZONS, rollingPrompts } from "../backtest/prompts.ts";
import { runBacktest } from "../backtest/run.ts";
import type { PromptTotal } from "./compare.ts";

export interface WindowOptions {
  readonly dirs: readonly string[];
  readonly days: number;
  /** Between prompts; null: as a backtest chooses it. */
  readonly strideSeconds: number | null;
  readonly minObserved: number;
}

/** Prompts on the newest candles of a model's assets. */
export interface ScoringWindow {
  readonly chunks: readonly Chunk[];
  /** Unix seconds of the first and last start; null without prompts. */
  readonly from: number | null;
  readonly to: number | null;
  readonly prompts: number;
}

type Trained = Pick<ModelEntry, "assets" | "horizon" | "stepSeconds" | "trainingWindow">;

/** The last `days` of each asset that lie after the training window: on candles of its training an overfit model shines. */
export function scoringWindow(entry: Trained, { dirs, days, minObserved, ...options }: WindowOptions): ScoringWindow {
  const notBefore = Date.parse(entry.trainingWindow.to) / 1000;
  const { strideUnitSeconds, horizonSeconds } = HORIZONS[entry.horizon];
  const prompts = entry.assets.flatMap((asset) => {
    const to = newestClose(asset, entry.stepSeconds, dirs);
    if (to === null) return [];
    const first = Math.max(to - days * SECONDS_PER_DAY, notBefore);
    const from = Math.ceil(first / strideUnitSeconds) * strideUnitSeconds;
    if (to - from < horizonSeconds) return [];
    const strideSeconds = options.strideSeconds ?? defaultStride(entry.horizon, { from, to });
    return rollingPrompts([asset], { horizon: entry.horizon, from, to, strideSeconds });
  });
  const { chunks } = planPrompts(prompts, { dirs, minObserved });
  const starts = chunks.flatMap((chunk) => chunk.starts).sort((a, b) => a - b);
  return { chunks, from: starts[0] ?? null, to: starts.at(-1) ?? null, prompts: starts.length };
}

/** Close time of the asset's newest candle that the grid can be scored on. */
export function newestClose(asset: AssetSymbol, stepSeconds: number, dirs: readonly string[]): number | null {
  const ends = sourcesOf(asset, dirs)
    .filter(({ resolution }) => stepSeconds % ARCHIVE_STEPS[resolution] === 0)
    .flatMap((source) => {
      const end = spanOf(source)!.to;
      // A month's file has a candle at least, or the one before it has.
      return readTimeline(source, end - 62 * SECONDS_PER_DAY, end).closeTimes.at(-1) ?? [];
    });
  return ends.length === 0 ? null : Math.max(...ends);
}

export interface ScoreOptions {
  readonly settings: BacktestSettings;
  readonly workers: number;
  readonly signal: AbortSignal;
  readonly onProgress: (done: number, total: number) => void;
}

/** Scores of the engine with this manifest; those of the EWMA engine where it hands over. The same seeds for every manifest. */
export async function scoreManifest(
  chunks: readonly Chunk[],
  { engine, manifestFile }: { readonly engine: EngineName; readonly manifestFile: string },
  { settings, ...run }: ScoreOptions,
): Promise<PromptTotal[]> {
  const { results } = await runBacktest({
    ...run,
    chunks,
    contestants: [engine],
    withOracle: false,
    settings: { ...settings, models: manifestFile },
  });
  return results.map(({ prompt, scores }) => ({
    asset: prompt.asset,
    start: prompt.start,
    total: scores[0]!.total,
    answered: scores[0]!.answeredBy === engine,
  }));
}
