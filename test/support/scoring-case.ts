import { readFileSync } from "node:fs";
import type { COMPETITION_RULES } from "../../src/scoring/intervals.ts";
import type { PredictedPrompt } from "../../src/scoring/prompt-score.ts";

/** One case of a vector file: the format of `score FILE.json`. */
export interface ScoringCase {
  readonly name: string;
  readonly competition: keyof typeof COMPETITION_RULES;
  readonly time_increment: number;
  readonly paths: readonly (readonly number[])[];
  readonly real: readonly (number | null)[];
  readonly total: number;
  readonly price_crps: number;
  readonly vol_crps: number;
  readonly price_crps_by_interval: Readonly<Record<string, number>>;
  readonly vol_crps_by_block_unweighted: Readonly<Record<string, number>>;
}

export function readScoringCases(file: URL): ScoringCase[] {
  return (JSON.parse(readFileSync(file, "utf8")) as { cases: ScoringCase[] }).cases;
}

export function promptOf(
  paths: readonly (readonly number[])[],
  real: readonly (number | null)[],
  stepSeconds: number,
): PredictedPrompt {
  return {
    paths: Float64Array.from(paths.flat()),
    pathCount: paths.length,
    realised: Float64Array.from(real, (price) => price ?? NaN),
    stepSeconds,
  };
}
