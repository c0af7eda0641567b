import type { ForecastRequest } from "../../engines/engine.ts";
import { releasePaths } from "../../engines/path-buffer.ts";
import { horizonClass } from "../../engines/horizon.ts";
import type { Engines } from "../../engines/route.ts";
import { simulatePaths } from "../../engines/forecast.ts";
import { scoringRulesFor, type Interval } from "../../scoring/intervals.ts";
import { coverage, COVERAGE_LEVELS, pitHistogram } from "../../scoring/pit.ts";
import { pitByInterval, scorePrompt, type PredictedPrompt, type PromptScore } from "../../scoring/prompt-score.ts";
import { variancePerStep } from "../../volatility/ewma.ts";
import { enginesOf, forecast, type Contestant } from "./contestant.ts";
import { realisedPrices } from "./data.ts";
import { originsOf, requestOf, type BacktestSettings, type Origin } from "./origin.ts";
import type { Chunk, Prompt } from "./plan.ts";
import { HISTOGRAM_BINS, type Horizon, type Resolution } from "./report.ts";

/** PIT values of one prompt, counted. */
export interface PitCounts {
  readonly observations: number;
  /** Inside each of COVERAGE_LEVELS. */
  readonly covered: readonly number[];
  readonly histogram: readonly number[];
}

export interface ContestantScore extends PromptScore {
  readonly engine: Contestant | "oracle";
  readonly answeredBy: Contestant | "oracle";
  readonly handOvers: readonly string[];
  readonly pits: { readonly change: PitCounts; readonly absolute: PitCounts };
}

export interface PromptResult {
  readonly prompt: Prompt;
  readonly horizon: Horizon;
  readonly resolution: Resolution;
  readonly anchorPrice: number;
  readonly realised: Float64Array;
  /** Per-step standard deviation that the state gave at the origin; null where it gave none. */
  readonly sigmaAtOrigin: number | null;
  readonly scores: readonly ContestantScore[];
}

export interface ScoreTask {
  readonly kind: "score";
  readonly chunk: Chunk;
  readonly contestants: readonly Contestant[];
  readonly settings: BacktestSettings;
}

/** Forecasts and scores every prompt of a chunk by every contestant. */
export async function scoreChunk({ chunk, contestants, settings }: ScoreTask): Promise<PromptResult[]> {
  const engines = enginesOf(settings);
  const points = chunk.horizonSeconds / chunk.stepSeconds + 1;
  const results: PromptResult[] = [];
  for (const origin of originsOf(chunk, settings)) {
    const start: number = origin.request.startTime;
    const realised = realisedPrices(chunk.source, { start, stepSeconds: chunk.stepSeconds, points });
    const scores: ContestantScore[] = [];
    for (const contestant of contestants) scores.push(await scoreContestant(contestant, { origin, realised, engines }));
    const { sigma2Minute, sigma2FiveMinute } = origin.state;
    const variance = variancePerStep(chunk.stepSeconds < 300 ? sigma2Minute : sigma2FiveMinute);
    results.push({
      prompt: { asset: chunk.asset, start, horizonSeconds: chunk.horizonSeconds, stepSeconds: chunk.stepSeconds },
      horizon: horizonClass(chunk.horizonSeconds),
      resolution: chunk.source.resolution,
      anchorPrice: origin.snapshot.anchor.price,
      realised,
      sigmaAtOrigin: variance === null ? null : Math.sqrt(variance),
      scores,
    });
  }
  return results;
}

async function scoreContestant(
  contestant: Contestant,
  { origin, realised, engines }: { origin: Origin; realised: Float64Array; engines: Engines },
): Promise<ContestantScore> {
  const { paths, answeredBy, handOvers } = await forecast(contestant, origin, engines);
  const scored = scorePaths(origin.request, { paths, realised });
  releasePaths(paths);
  return { engine: contestant, answeredBy, handOvers, ...scored };
}

type Scored = PromptScore & Pick<ContestantScore, "pits">;

/** Throws where the validators would reject the answer: every engine's prices are positive and finite. */
function scorePaths(
  request: ForecastRequest,
  { paths, realised }: { paths: Float64Array; realised: Float64Array },
): Scored {
  const { numSimulations: pathCount, stepSeconds } = request;
  const predicted: PredictedPrompt = { paths, pathCount, realised, stepSeconds };
  const rules = scoringRulesFor(request);
  const score = scorePrompt(predicted, rules);
  if (score.rejection !== null) throw new Error(`${request.asset} at ${request.startTime}: ${score.rejection}`);
  const pits = (kind: Interval["kind"]): PitCounts => {
    const intervals = rules.intervals.filter((interval) => interval.kind === kind);
    return countPits(Object.values(pitByInterval(predicted, { intervals, volatilityBlocks: [] })).flat());
  };
  return { ...score, pits: { change: pits("change"), absolute: pits("absolute") } };
}

function countPits(pits: readonly number[]): PitCounts {
  const observations = pits.length;
  return {
    observations,
    covered: COVERAGE_LEVELS.map((level) =>
      observations === 0 ? 0 : Math.round(coverage(pits, level) * observations),
    ),
    histogram: pitHistogram(pits, HISTOGRAM_BINS),
  };
}

/** What a constant sigma needs of prompts: no state. */
interface ConstantSigma {
  readonly prompts: readonly Pick<PromptResult, "prompt" | "anchorPrice" | "realised">[];
  readonly sigmaPerHour: number;
  readonly paths: number;
  readonly seed: number;
}

export type ConstantTask = ConstantSigma & { readonly kind: "constant" };
export type OracleTask = ConstantSigma & { readonly kind: "oracle" };

async function constantPaths(task: ConstantSigma, index: number): Promise<[ForecastRequest, Float64Array]> {
  const { prompt, anchorPrice } = task.prompts[index]!;
  const request = requestOf(prompt, task);
  const paths = await simulatePaths(request, { engine: "baseline", anchorPrice, sigmaPerHour: task.sigmaPerHour });
  return [request, paths];
}

/** Totals of the driftless Gaussian with this sigma. */
export async function scoreConstant(task: ConstantTask): Promise<number[]> {
  const totals: number[] = [];
  for (const [index, { realised }] of task.prompts.entries()) {
    const [request, paths] = await constantPaths(task, index);
    const { numSimulations: pathCount, stepSeconds } = request;
    totals.push(scorePrompt({ paths, pathCount, realised, stepSeconds }, scoringRulesFor(request)).total);
    releasePaths(paths);
  }
  return totals;
}

/** The same with everything that the report says of a contestant. */
export async function scoreOracle(task: OracleTask): Promise<ContestantScore[]> {
  const scores: ContestantScore[] = [];
  for (const [index, { realised }] of task.prompts.entries()) {
    const [request, paths] = await constantPaths(task, index);
    scores.push({ engine: "oracle", answeredBy: "oracle", handOvers: [], ...scorePaths(request, { paths, realised }) });
    releasePaths(paths);
  }
  return scores;
}
