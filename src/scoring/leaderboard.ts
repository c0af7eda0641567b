import { ASSETS, type AssetSymbol } from "../market/assets.ts";
import { SECONDS_PER_DAY, type UnixSeconds } from "../units.ts";
import { REJECTED_SCORE } from "./prompt-score.ts";

/**
 * From the scores of a field of miners to their reward weights. Sources: synth/validator/reward.py
 * (`compute_prompt_scores`, `compute_softmax`) and moving_average.py (`compute_smoothed_score`) of
 * synthdataco/synth-subnet, autumn 2026.
 */

/** A score above this multiple of the field's median is clipped there. */
const OUTLIER_MEDIAN_MULTIPLE = 10;

export interface FieldScores {
  /** score - best, in the order of the input; 0 is the best. */
  readonly relative: readonly number[];
  /** What a missing or rejected answer got, before the best was subtracted. */
  readonly missScore: number;
  readonly bestScore: number;
  readonly capped: readonly boolean[];
}

/**
 * One prompt's scores relative to its best, `REJECTED_SCORE` for a missing or rejected answer. In this order: scores
 * above 10 medians are clipped there; misses get the 95th percentile of the scores that were not clipped; the best is
 * subtracted. Null where nobody answered: such a prompt does not count.
 */
export function scoreField(scores: readonly number[]): FieldScores | null {
  const valid = scores.filter((score) => score !== REJECTED_SCORE);
  if (valid.length === 0) return null;
  const median = quantile(valid, 0.5);
  const cap = median > 0 ? median * OUTLIER_MEDIAN_MULTIPLE : Infinity;
  // Never empty: at least half of the field is at or below the median.
  const missScore = quantile(
    valid.filter((score) => score <= cap),
    0.95,
  );
  const filled = scores.map((score) => (score === REJECTED_SCORE ? missScore : Math.min(score, cap)));
  const bestScore = filled.reduce((best, score) => Math.min(best, score));
  return {
    relative: filled.map((score) => score - bestScore),
    missScore,
    bestScore,
    capped: scores.map((score) => score > cap),
  };
}

/** Quantile of at least one value with linear interpolation: numpy's default, type 7 of Hyndman & Fan 1996. */
export function quantile(values: readonly number[], probability: number): number {
  const sorted = Float64Array.from(values).sort();
  const position = (sorted.length - 1) * probability;
  const index = Math.floor(position);
  const low = sorted[index]!;
  const high = sorted[Math.min(index + 1, sorted.length - 1)]!;
  const fraction = position - index;
  // numpy interpolates from the nearer end.
  return fraction < 0.5 ? low + (high - low) * fraction : high - (high - low) * (1 - fraction);
}

/** Reward weights exp(beta · score) / Σ exp(beta · score), beta < 0: a lower score earns more. They sum to 1. */
export function softmax(scores: readonly number[], beta: number): number[] {
  const scaled = scores.map((score) => beta * score);
  const max = scaled.reduce((a, b) => Math.max(a, b), -Infinity);
  const exponentials = scaled.map((value) => Math.exp(value - max));
  const sum = exponentials.reduce((a, b) => a + b, 0);
  return exponentials.map((value) => value / sum);
}

/** One scored prompt of a competition; a miner that is not in `scores` did not answer. */
export interface ScoredField {
  readonly asset: AssetSymbol;
  readonly scoredAt: UnixSeconds;
  /** `PromptScore.total` by miner. */
  readonly scores: ReadonlyMap<string, number>;
}

export interface Standing {
  readonly miner: string;
  /** Σ coefficient · relative score / Σ coefficient over the prompts in the window. */
  readonly smoothedScore: number;
  /** Share of the competition's reward; all standings sum to 1. */
  readonly weight: number;
}

/**
 * Standings of one competition at `now`, best first: prompts scored in (now - window, now], each weighted by its
 * asset's coefficient, then a softmax. A miner without an answer to a prompt is charged the prompt's miss score, also
 * for prompts before it joined (the validators fill those in for newcomers); so all miners share one sum of weights.
 */
export function leaderboard(
  fields: readonly ScoredField[],
  competition: { readonly windowDays: number; readonly softmaxBeta: number },
  now: UnixSeconds,
): Standing[] {
  const windowStart = now - competition.windowDays * SECONDS_PER_DAY;
  const inWindow = fields.filter(({ scoredAt }) => scoredAt > windowStart && scoredAt <= now);
  const miners = [...new Set(inWindow.flatMap(({ scores }) => [...scores.keys()]))];
  const sums = new Float64Array(miners.length);
  let coefficients = 0;
  for (const { asset, scores } of inWindow) {
    const field = scoreField(miners.map((miner) => scores.get(miner) ?? REJECTED_SCORE));
    if (!field) continue;
    const { coefficient } = ASSETS[asset];
    coefficients += coefficient;
    for (const [i, score] of field.relative.entries()) sums[i]! += coefficient * score;
  }
  if (coefficients === 0) return [];
  const smoothed = Array.from(sums, (sum) => sum / coefficients);
  const weights = softmax(smoothed, competition.softmaxBeta);
  return miners
    .map((miner, i) => ({ miner, smoothedScore: smoothed[i]!, weight: weights[i]! }))
    .sort((a, b) => a.smoothedScore - b.smoothedScore);
}
