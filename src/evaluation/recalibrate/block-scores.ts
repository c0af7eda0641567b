import type { ScoringRules } from "../../scoring/intervals.ts";
import type { PredictedPrompt } from "../../scoring/prompt-score.ts";
import { meanAbsoluteScore } from "./normal-score.ts";

/** How one realised return compares with the paths' returns over the same block. */
export interface BlockScore {
  /** Length of the block, and where it begins (unix seconds). */
  readonly seconds: number;
  readonly startTime: number;
  /** Mid-rank PIT (see pit.ts). */
  readonly pit: number;
  /** |z|: mean absolute normal score of the rank. */
  readonly absoluteScore: number;
}

/**
 * The blocks of every "change" interval, and the whole path as one block of its own length (the absolute price, given
 * the price at point 0). Blocks without a realised price at either end are left out; "gap" intervals are sums of these.
 */
export function scoreBlocks(prompt: PredictedPrompt, startTime: number, rules: ScoringRules): BlockScore[] {
  const { realised, stepSeconds } = prompt;
  const points = realised.length;
  const lengths = rules.intervals.filter(({ kind }) => kind !== "gap").map(({ seconds }) => seconds);
  const scores: BlockScore[] = [];
  for (const seconds of lengths) {
    const steps = seconds / stepSeconds;
    for (let from = 0; from + steps < points; from += steps) {
      const rank = rankOf(prompt, from, from + steps);
      if (rank !== null) scores.push({ seconds, startTime: startTime + from * stepSeconds, ...rank });
    }
  }
  return scores;
}

function rankOf(
  { paths, pathCount, realised }: PredictedPrompt,
  from: number,
  to: number,
): Pick<BlockScore, "pit" | "absoluteScore"> | null {
  const change = realised[to]! / realised[from]!;
  if (Number.isNaN(change)) return null;
  const points = realised.length;
  let below = 0;
  let equal = 0;
  for (let row = 0; row < paths.length; row += points) {
    const simulated = paths[row + to]! / paths[row + from]!;
    if (simulated < change) below++;
    else if (simulated === change) equal++;
  }
  const members = pathCount + 1;
  return {
    pit: (below + (equal + 1) / 2) / members,
    absoluteScore: meanAbsoluteScore(below / members, (below + equal + 1) / members),
  };
}
