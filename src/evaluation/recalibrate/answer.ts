import { encodeSimulation } from "../../engines/encode.ts";
import type { ForecastRequest } from "../../engines/engine.ts";
import { simulatePaths } from "../../engines/forecast.ts";
import { horizonClass, type HorizonClass } from "../../engines/horizon.ts";
import { releasePaths } from "../../engines/path-buffer.ts";
import { appliedFactors } from "../../engines/recalibration.ts";
import type { EngineInput } from "../../engines/task.ts";
import { ASSETS } from "../../market/assets.ts";
import { scoringRulesFor } from "../../scoring/intervals.ts";
import { scorePrompt, type PredictedPrompt, type PromptScore } from "../../scoring/prompt-score.ts";
import type { Recording } from "../../store/recording-format.ts";
import { COMPETITIONS } from "../../subnets/synth/competitions.ts";
import { readEvidence, type SimulationEvidence } from "../../subnets/synth/evidence.ts";
import { OUTPUT_FIELD } from "../../subnets/synth/simulation.ts";
import { scoreBlocks, type BlockScore } from "./block-scores.ts";
import { realisedCloses, withoutFrozen, type Closes } from "./realised.ts";
import type { CountedAnswer } from "./statistics.ts";

/** The answer that a recording keeps, as far as it can be scored. */
export interface RecordedAnswer {
  readonly evidence: SimulationEvidence;
  readonly request: ForecastRequest;
  readonly horizon: HorizonClass;
  readonly endTime: number;
}

/**
 * `no_answer`: a refusal; `unreadable`: its evidence is none; `retired_engine`: its engine is gone; `other_grid`: no
 * validator's competition scores it; `not_ahead`: not asked for in the minutes before its start.
 */
export type NotScorable = "no_answer" | "unreadable" | "retired_engine" | "other_grid" | "not_ahead";

/** Fewer paths tell little of their distribution; validators ask for 1000. */
const MIN_PATHS = 100;
/** Validators ask one or two minutes ahead. A forecast of what the model has seen already says nothing of its scale. */
const MAX_LEAD_SECONDS = 600;

/** `realTime`: whether recordings are stamped by the clock of the candles (a rehearsal's market clock is another). */
export function readAnswer(
  { exchange }: Recording,
  { realTime }: { readonly realTime: boolean },
): RecordedAnswer | NotScorable {
  if (exchange.status !== 200 || !Object.hasOwn(exchange.fieldDigests, OUTPUT_FIELD)) return "no_answer";
  const read = readEvidence(exchange.evidence);
  if (read.status === "unreadable" || read.evidence.digest !== exchange.fieldDigests[OUTPUT_FIELD]) return "unreadable";
  if (read.status === "retired") return "retired_engine";
  const { evidence } = read;
  const { request } = evidence.task;
  if (!isCompetitions(request) || request.numSimulations < MIN_PATHS) return "other_grid";
  const leadSeconds = request.startTime - exchange.receivedAtMs / 1000;
  if (realTime && !(leadSeconds >= 0 && leadSeconds <= MAX_LEAD_SECONDS)) return "not_ahead";
  const { horizonSeconds, startTime } = request;
  return { evidence, request, horizon: horizonClass(horizonSeconds), endTime: startTime + horizonSeconds };
}

function isCompetitions({ asset, horizonSeconds, stepSeconds }: ForecastRequest): boolean {
  return COMPETITIONS.some(
    (each) =>
      each.horizonSeconds === horizonSeconds &&
      each.stepSeconds === stepSeconds &&
      (each.assets.includes(asset) || each.formerAssets.includes(asset)),
  );
}

/** An answer against what happened. */
export interface ScoredAnswer {
  readonly score: PromptScore;
  /** Of the subnet's reference miner, from the same anchor. */
  readonly reference: PromptScore;
  readonly counted: CountedAnswer;
}

/**
 * `irreproducible`: today's code gives other bytes; `no_prices`: nothing of it was observed, or only a feed that stood
 * still; `rejected`: no valid answer.
 */
export type NotScored = "irreproducible" | "no_prices" | "rejected";

/** Simulates a recorded answer again, checks that it is the one that was sent, and scores it. Never throws. */
export async function scoreAnswer(answer: RecordedAnswer, closes: Closes): Promise<ScoredAnswer | NotScored> {
  const { evidence, request } = answer;
  const { stepSeconds, numSimulations: pathCount } = request;
  const points = request.horizonSeconds / stepSeconds + 1;
  const grid = { startTime: request.startTime, stepSeconds, points };
  const realised = realisedCloses(closes, grid);
  const input = evidence.task.inputs.find(({ engine }) => engine === evidence.engine);
  if (input === undefined) return "irreproducible";
  const rules = scoringRulesFor(request);
  const own = await simulateAgain(request, input, evidence.digest);
  if (own === null) return "irreproducible";
  const prompt: PredictedPrompt = { paths: own, pathCount, realised, stepSeconds };
  // Validators score a frozen feed's prices as they are; to learn from, they tell of the feed and not of the model.
  const moving = zeroShareOf(input) > 0 ? realised : realisedCloses(withoutFrozen(closes), grid);
  const blocks = scoreBlocks({ ...prompt, realised: moving }, request.startTime, rules);
  const score = blocks.length === 0 ? null : scorePrompt(prompt, rules);
  releasePaths(own);
  if (score === null) return "no_prices";
  if (score.rejection !== null) return "rejected";
  const paths = await referencePaths(request, evidence.anchor.price);
  const reference = scorePrompt({ paths, pathCount, realised, stepSeconds }, rules);
  releasePaths(paths);
  return { score, reference, counted: countedOf(answer, { blocks, input }) };
}

async function simulateAgain(
  request: ForecastRequest,
  input: EngineInput,
  digest: string,
): Promise<Float64Array | null> {
  try {
    const paths = await simulatePaths(request, input);
    if (encodeSimulation(request, paths).digest === digest) return paths;
    releasePaths(paths);
    return null;
  } catch {
    // Whatever a recorded input does to today's engine, the answer of the day is not to be had from it.
    return null;
  }
}

/** How often the model expected a step without any change. */
function zeroShareOf(input: EngineInput): number {
  return input.engine === "ewma" ? input.model.zeroShare : 0;
}

async function referencePaths(request: ForecastRequest, anchorPrice: number): Promise<Float64Array> {
  const sigmaPerHour = ASSETS[request.asset].referenceSigmaPerHour;
  return simulatePaths(request, { engine: "baseline", anchorPrice, sigmaPerHour });
}

function countedOf(
  { evidence, request, horizon, endTime }: RecordedAnswer,
  { blocks, input }: { readonly blocks: readonly BlockScore[]; readonly input: EngineInput },
): CountedAnswer {
  const { engine, engineVersion } = evidence;
  const calibration = ("calibration" in input ? input.calibration : undefined) ?? null;
  const producer = { engine, engineVersion, calibration };
  return { asset: request.asset, horizon, ...producer, endTime, applied: appliedFactors(input), blocks };
}
