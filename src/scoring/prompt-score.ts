import { crpsOfEnsemble } from "./crps.ts";
import { createEnsemble, type Ensemble } from "./ensemble.ts";
import {
  blockName,
  intervalName,
  MIN_BLOCK_RETURNS,
  stepsIn,
  type Interval,
  type ScoringRules,
  type VolatilityBlock,
} from "./intervals.ts";
import { pit } from "./pit.ts";

/**
 * A prediction and what happened, on one grid. Source of all that follows: `calculate_total_score_for_miner` in
 * synth/validator/crps_calculation.py of synthdataco/synth-subnet.
 */
export interface PredictedPrompt {
  /** Prices, row-major [path, point]. */
  readonly paths: Float64Array;
  readonly pathCount: number;
  /** Prices at the same points; NaN where none was observed. */
  readonly realised: Float64Array;
  readonly stepSeconds: number;
}

/** Why a prediction is rejected: a price of zero, or a price or score that is not a finite number. */
export type Rejection = "ZERO_PRICE" | "NOT_FINITE";

export interface PromptScore {
  /** priceCrps + volatilityCrps, in bps; lower is better; `REJECTED_SCORE` where rejected. */
  readonly total: number;
  readonly priceCrps: number;
  /** Weighted. */
  readonly volatilityCrps: number;
  /** Sum over the observed blocks of each interval, in bps, in the order of the rules. */
  readonly priceCrpsByInterval: Readonly<Record<string, number>>;
  /** Sum over the observed blocks of each size, in bps, unweighted. */
  readonly volatilityCrpsByBlock: Readonly<Record<string, number>>;
  readonly rejection: Rejection | null;
}

export const REJECTED_SCORE = -1;
const BPS = 10_000;

export function scorePrompt(prompt: PredictedPrompt, rules: ScoringRules): PromptScore {
  checkShape(prompt);
  const rejection = rejectionOf(prompt);
  if (rejection) return rejected(rejection);

  const ensemble = createEnsemble(prompt.pathCount);
  const priceCrpsByInterval: Record<string, number> = {};
  const volatilityCrpsByBlock: Record<string, number> = {};
  let priceCrps = 0;
  let volatilityCrps = 0;
  for (const interval of rules.intervals) {
    const sum = intervalCrps(prompt, interval, ensemble);
    priceCrpsByInterval[intervalName(interval)] = sum;
    priceCrps += sum;
  }
  for (const block of rules.volatilityBlocks) {
    const sum = volatilityBlockCrps(prompt, block, ensemble);
    volatilityCrpsByBlock[blockName(block)] = sum;
    volatilityCrps += block.weight * sum;
  }
  const total = priceCrps + volatilityCrps;
  if (!Number.isFinite(total)) return rejected("NOT_FINITE");
  return { total, priceCrps, volatilityCrps, priceCrpsByInterval, volatilityCrpsByBlock, rejection: null };
}

/** PIT values (see pit.ts) of every observed change or price, per interval, in time order. */
export function pitByInterval(prompt: PredictedPrompt, rules: ScoringRules): Record<string, number[]> {
  checkShape(prompt);
  const ensemble = createEnsemble(prompt.pathCount);
  const pits: Record<string, number[]> = {};
  for (const interval of rules.intervals) {
    const values: number[] = [];
    forEachObservation(prompt, interval, ensemble, (observation) => {
      values.push(pit(ensemble.members, observation));
    });
    pits[intervalName(interval)] = values;
  }
  return pits;
}

function intervalCrps(prompt: PredictedPrompt, interval: Interval, ensemble: Ensemble): number {
  const lastPrice = prompt.realised[prompt.realised.length - 1]!;
  let sum = 0;
  forEachObservation(prompt, interval, ensemble, (observation) => {
    const value = crpsOfEnsemble(ensemble, observation);
    sum += interval.kind === "absolute" ? (value / lastPrice) * BPS : value;
  });
  return sum;
}

/**
 * Calls `visit` for every block whose realised change (bps) or price is observed, with the paths' values for the same
 * block in `ensemble.members`.
 */
function forEachObservation(
  prompt: PredictedPrompt,
  interval: Interval,
  ensemble: Ensemble,
  visit: (observation: number) => void,
): void {
  const { paths, realised, stepSeconds } = prompt;
  const { members } = ensemble;
  const points = realised.length;
  let steps = stepsIn(interval.seconds, stepSeconds);
  // A path shorter than the interval is still scored on the absolute price: at its last point.
  if (interval.kind === "absolute") steps = Math.min(steps, Math.max(points - 1, 1));
  const lastStart = interval.kind === "gap" ? 0 : points - 1 - steps;

  for (let start = 0; start <= lastStart && start + steps < points; start += steps) {
    const end = start + steps;
    const observation = interval.kind === "absolute" ? realised[end]! : changeBps(realised[start]!, realised[end]!);
    if (Number.isNaN(observation)) continue;
    if (interval.kind === "absolute") {
      for (let i = 0, row = 0; i < members.length; i++, row += points) members[i] = paths[row + end]!;
    } else {
      for (let i = 0, row = 0; i < members.length; i++, row += points) {
        members[i] = changeBps(paths[row + start]!, paths[row + end]!);
      }
    }
    visit(observation);
  }
}

function changeBps(from: number, to: number): number {
  return ((to - from) / from) * BPS;
}

/** Sum over whole blocks of the CRPS of the realised volatility; what is left after the last whole block is dropped. */
function volatilityBlockCrps(prompt: PredictedPrompt, block: VolatilityBlock, ensemble: Ensemble): number {
  const { paths, realised, stepSeconds } = prompt;
  const { members } = ensemble;
  const points = realised.length;
  const steps = stepsIn(block.seconds, stepSeconds);
  let sum = 0;
  for (let start = 0; start + steps < points; start += steps) {
    const observation = blockVolatilityBps(realised, start, steps);
    if (Number.isNaN(observation)) continue;
    // All of a path's returns count, also those whose realised return is missing.
    for (let i = 0; i < members.length; i++) members[i] = blockVolatilityBps(paths, i * points + start, steps);
    sum += crpsOfEnsemble(ensemble, observation);
  }
  return sum;
}

/**
 * Sample standard deviation (ddof 1) of the `steps` simple returns from `start` on, in bps; NaN returns are left out,
 * and fewer than two are NaN.
 */
function blockVolatilityBps(prices: Float64Array, start: number, steps: number): number {
  let count = 0;
  let sum = 0;
  for (let i = start; i < start + steps; i++) {
    const change = changeBps(prices[i]!, prices[i + 1]!);
    if (Number.isNaN(change)) continue;
    count++;
    sum += change;
  }
  if (count < MIN_BLOCK_RETURNS) return NaN;
  const mean = sum / count;
  let squares = 0;
  for (let i = start; i < start + steps; i++) {
    const deviation = changeBps(prices[i]!, prices[i + 1]!) - mean;
    if (!Number.isNaN(deviation)) squares += deviation * deviation;
  }
  return Math.sqrt(squares / (count - 1));
}

function rejected(rejection: Rejection): PromptScore {
  return {
    total: REJECTED_SCORE,
    priceCrps: REJECTED_SCORE,
    volatilityCrps: 0,
    priceCrpsByInterval: {},
    volatilityCrpsByBlock: {},
    rejection,
  };
}

function rejectionOf({ paths, realised }: PredictedPrompt): Rejection | null {
  if (paths.includes(0) || realised.includes(0)) return "ZERO_PRICE";
  for (let i = 0; i < paths.length; i++) if (!Number.isFinite(paths[i]!)) return "NOT_FINITE";
  return null;
}

function checkShape({ paths, pathCount, realised }: PredictedPrompt): void {
  if (pathCount < 1 || realised.length < 1 || paths.length !== pathCount * realised.length) {
    throw new RangeError(
      `expected ${pathCount} paths of ${realised.length} points, at least one of each, were ${paths.length} prices`,
    );
  }
}
