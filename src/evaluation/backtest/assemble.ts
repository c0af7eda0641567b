import { aggregate, BOOTSTRAP_DRAWS, totalsOf } from "./aggregate.ts";
import type { BadRow } from "./prompts.ts";
import type { Plan } from "./plan.ts";
import {
  BASELINE_NAMES,
  SKIP_REASONS,
  type BacktestReport,
  type ReportMetadata,
  type ReportPrompt,
  type Resolution,
} from "./report.ts";
import type { BacktestOutcome } from "./run.ts";
import type { ContestantScore, PromptResult } from "./score-chunk.ts";
import { horizonClass } from "../../engines/horizon.ts";

/** What the command knows and the run does not. */
export interface ReportContext extends Pick<
  ReportMetadata,
  | "created"
  | "commandLine"
  | "packageVersion"
  | "gitCommit"
  | "nodeVersion"
  | "seed"
  | "dataDirs"
  | "from"
  | "to"
  | "strideSeconds"
  | "promptsFile"
  | "engines"
  | "assets"
  | "pathsPerPrompt"
  | "wallSeconds"
  | "workers"
> {
  readonly badRows: readonly BadRow[];
  /** Unix seconds of the newest candle that the engines were fitted on; null where nothing was fitted. */
  readonly fittedTo: number | null;
}

export function assembleReport(plan: Plan, outcome: BacktestOutcome, context: ReportContext): BacktestReport {
  const { results, oracles, examples, partial } = outcome;
  const { badRows, fittedTo, ...known } = context;
  const resolutions = countResolutions(results);
  const planned = plan.chunks.reduce((sum, { starts }) => sum + starts.length, 0);
  return {
    format: "synth-miner backtest",
    version: 1,
    metadata: {
      ...known,
      baselines: BASELINE_NAMES.filter((name) => results.some(({ scores }) => scores.some((s) => s.engine === name))),
      partial,
      bootstrapDraws: BOOTSTRAP_DRAWS,
      resolutions,
      notes: notesOf(resolutions, results, { ...known, badRows, fittedTo }),
      prompts: {
        planned: planned + plan.skipped.length + badRows.length,
        scored: results.length,
        skipped: countSkipped(plan, badRows),
      },
    },
    prompts: results.flatMap((result) => result.scores.map((score) => promptOf(result, score))),
    aggregates: aggregate(results, { seed: context.seed, oracles }),
    totals: totalsOf(results, { seed: context.seed }),
    examples: [...examples],
  };
}

function promptOf({ prompt, horizon, resolution }: PromptResult, score: ContestantScore): ReportPrompt {
  return {
    asset: prompt.asset,
    start: isoTime(prompt.start),
    horizon,
    horizonSeconds: prompt.horizonSeconds,
    stepSeconds: prompt.stepSeconds,
    engine: score.engine,
    answeredBy: score.answeredBy,
    resolution,
    total: score.total,
    priceCrps: score.priceCrps,
    volatilityCrps: score.volatilityCrps,
    priceCrpsByInterval: score.priceCrpsByInterval,
    volatilityCrpsByBlock: score.volatilityCrpsByBlock,
  };
}

export function isoTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
}

function countResolutions(results: readonly PromptResult[]): ReportMetadata["resolutions"] {
  const groups = Map.groupBy(results, ({ prompt, horizon, resolution }) => `${horizon} ${prompt.asset} ${resolution}`);
  return [...groups.values()].map((own) => {
    const { prompt, horizon, resolution } = own[0]!;
    return { asset: prompt.asset, horizon, resolution, prompts: own.length };
  });
}

function countSkipped(plan: Plan, badRows: readonly BadRow[]): ReportMetadata["prompts"]["skipped"] {
  const all: Omit<ReportMetadata["prompts"]["skipped"][number], "prompts">[] = [
    ...plan.skipped.map(({ prompt, reason }) => ({
      asset: prompt.asset,
      horizon: horizonClass(prompt.horizonSeconds),
      reason,
    })),
    ...badRows.map(({ asset }) => ({ asset, horizon: "?", reason: "bad_prompt" as const })),
  ];
  const groups = Map.groupBy(all, (each) => JSON.stringify(each));
  return [...groups.values()]
    .map((own) => ({ ...own[0]!, prompts: own.length }))
    .sort((a, b) => SKIP_REASONS.indexOf(a.reason) - SKIP_REASONS.indexOf(b.reason));
}

/** In the words of a table: which candles stood for the truth. */
const RESOLUTION_TEXTS: Readonly<Record<Resolution, string>> = {
  "1m": "1-minute candles: the price at T is the close of the minute that opens at T, the last candle known opens at T - 120 s",
  "5m":
    "5-minute candles: the price at T is the close of the bar that closes at T (the validators' would be the close one " +
    "minute later), the last bar known opens at T - 360 s or before",
};

function notesOf(
  resolutions: ReportMetadata["resolutions"],
  results: readonly PromptResult[],
  { badRows, engines, fittedTo }: ReportContext,
): string[] {
  const groups = Map.groupBy(resolutions, ({ horizon, resolution }) => `${horizon} ${resolution}`);
  const ran = [...groups.values()].map((own) => {
    const { horizon, resolution } = own[0]!;
    const assets = own.map(({ asset, prompts }) => `${asset} (${prompts})`).join(", ");
    return `${horizon} prompts of ${assets} ran on ${RESOLUTION_TEXTS[resolution]}.`;
  });
  const handedOver = engines.flatMap((engine) => {
    const scores = results.flatMap((result) => result.scores.filter((score) => score.engine === engine));
    const count = scores.filter(({ handOvers }) => handOvers.length > 0).length;
    if (count === 0) return [];
    const codes = [...new Set(scores.flatMap(({ handOvers }) => handOvers))].join(", ");
    return [`${engine} handed ${count} of ${scores.length} prompts over (${codes}); they count under its name.`];
  });
  const bad = badRows.slice(0, 5).map(({ line, problem }) => `Line ${line} of the prompts file: ${problem}.`);
  const seen = fittedTo === null ? [] : results.filter(({ prompt }) => prompt.start < fittedTo);
  const inSample =
    seen.length === 0 || !engines.includes("ewma")
      ? []
      : [
          `IN SAMPLE: ${seen.length} prompts start before ${isoTime(fittedTo!)}, up to where the EWMA engine was fitted.`,
        ];
  return [...ran, ...handedOver, ...inSample, ...bad];
}
