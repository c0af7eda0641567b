import { encodeSimulation } from "../../engines/encode.ts";
import type { ForecastRequest } from "../../engines/engine.ts";
import { simulatePaths } from "../../engines/forecast.ts";
import { horizonClass, type HorizonClass } from "../../engines/horizon.ts";
import { releasePaths } from "../../engines/path-buffer.ts";
import { appliedFactors } from "../../engines/recalibration.ts";
import type { EngineInput } from "../../engines/task.ts";
import { ASSETS } from "../../market/assets.ts";
import { MINUTE_STEP_SECONDS } from "../../market/candle.ts";
import { scoringRulesFor } from "../../scoring/intervals.ts";
import { scorePrompt, type PredictedPrompt, type PromptScore } from "../../scoring/prompt-score.ts";
import type { Recording } from "../../store/recording-format.ts";
import { simulationEvidence, type SimulationEvidence } from "../../subnets/synth/evidence.ts";
import { OUTPUT_FIELD } from "../../subnets/synth/simulation.ts";
import { SECONDS_PER_DAY, SECONDS_PER_HOUR } from "../../units.ts";
import { scoreBlocks, type BlockScore } from "./block-scores.ts";
import { realisedCloses, type Closes } from "./realised.ts";
import type { CountedAnswer } from "./statistics.ts";

/** The answer that a recording keeps, as far as it can be scored. */
export interface RecordedAnswer {
  readonly evidence: SimulationEvidence;
  readonly request: ForecastRequest;
  readonly horizon: HorizonClass;
  readonly endTime: number;
}

/** `no_answer`: a refusal; `unreadable`: its evidence is none; `other_grid`: no validator's competition scores it. */
export type NotScorable = "no_answer" | "unreadable" | "other_grid";

/** Fewer paths tell little of their distribution; validators ask for 1000. */
const MIN_PATHS = 100;
const COMPETITION_HORIZONS: readonly number[] = [SECONDS_PER_HOUR, SECONDS_PER_DAY];

export function readAnswer({ exchange }: Recording): RecordedAnswer | NotScorable {
  if (exchange.status !== 200 || !Object.hasOwn(exchange.fieldDigests, OUTPUT_FIELD)) return "no_answer";
  const parsed = simulationEvidence.safeParse(exchange.evidence);
  if (!parsed.success || parsed.data.digest !== exchange.fieldDigests[OUTPUT_FIELD]) return "unreadable";
  const { request } = parsed.data.task;
  const { horizonSeconds, stepSeconds, numSimulations } = request;
  const fits = stepSeconds % MINUTE_STEP_SECONDS === 0 && horizonSeconds % stepSeconds === 0;
  if (!fits || !COMPETITION_HORIZONS.includes(horizonSeconds) || numSimulations < MIN_PATHS) return "other_grid";
  const endTime = request.startTime + horizonSeconds;
  return { evidence: parsed.data, request, horizon: horizonClass(horizonSeconds), endTime };
}

/** An answer against what happened. */
export interface ScoredAnswer {
  readonly score: PromptScore;
  /** Of the subnet's reference miner, from the same anchor. */
  readonly reference: PromptScore;
  readonly counted: CountedAnswer;
}

/** `irreproducible`: today's code gives other bytes; `no_prices`: nothing of it was observed; `rejected`: no valid answer. */
export type NotScored = "irreproducible" | "no_prices" | "rejected";

/** Simulates a recorded answer again, checks that it is the one that was sent, and scores it. Never throws. */
export async function scoreAnswer(answer: RecordedAnswer, closes: Closes): Promise<ScoredAnswer | NotScored> {
  const { evidence, request } = answer;
  const { stepSeconds, numSimulations: pathCount } = request;
  const points = request.horizonSeconds / stepSeconds + 1;
  const realised = realisedCloses(closes, { startTime: request.startTime, stepSeconds, points });
  const input = evidence.task.inputs.find(({ engine }) => engine === evidence.engine);
  if (input === undefined) return "irreproducible";
  const rules = scoringRulesFor(request);
  const own = await simulateAgain(request, input, evidence.digest);
  if (own === null) return "irreproducible";
  const prompt: PredictedPrompt = { paths: own, pathCount, realised, stepSeconds };
  const blocks = scoreBlocks(prompt, request.startTime, rules);
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

async function referencePaths(request: ForecastRequest, anchorPrice: number): Promise<Float64Array> {
  const sigmaPerHour = ASSETS[request.asset].referenceSigmaPerHour;
  return simulatePaths(request, { engine: "baseline", anchorPrice, sigmaPerHour });
}

function countedOf(
  { evidence, request, horizon, endTime }: RecordedAnswer,
  { blocks, input }: { readonly blocks: readonly BlockScore[]; readonly input: EngineInput },
): CountedAnswer {
  const { engine, engineVersion } = evidence;
  return { asset: request.asset, horizon, engine, engineVersion, endTime, applied: appliedFactors(input), blocks };
}
