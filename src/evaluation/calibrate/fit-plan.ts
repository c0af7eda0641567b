import { ratioAt } from "../../engines/paths/variance-ratio.ts";
import { scoringRulesFor, stepsIn } from "../../scoring/intervals.ts";
import type { FitOptions } from "./fit-types.ts";
import { crpsTables, type CrpsTable } from "./shape-table.ts";

interface Grid {
  readonly horizonSeconds: number;
  readonly stepSeconds: number;
}

/** The scored blocks of one length. Block indices run on over the groups. */
interface BlockGroup {
  readonly steps: number;
  readonly firstBlock: number;
  readonly firstSteps: Int32Array;
  /** How many scored intervals the block's return counts in. */
  readonly weights: Float64Array;
  readonly table: CrpsTable;
  /** The group's variance ratio = ratioWeights[0] + Σ_p ratioWeights[p + 1] · ratio_p: `ratioAt` is linear in the ratios. */
  readonly ratioWeights: Float64Array;
}

/** What the price loss of a competition needs beside samples and scale. Its last rooms make it unfit for two threads. */
export interface PricePlan extends Grid {
  readonly stepCount: number;
  readonly knotCount: number;
  readonly ratioSeconds: readonly number[];
  /** Basis B: step i lies between knots `lowKnots[i]` and the next, at `fractions[i]` of the way. */
  readonly lowKnots: Int32Array;
  readonly fractions: Float64Array;
  readonly groups: readonly BlockGroup[];
  readonly blockCount: number;
  readonly variances: Float64Array;
  readonly cumulative: Float64Array;
  readonly slopes: Float64Array;
}

/**
 * Every scored block return of a prompt by its length and first step, with multiplicity. "absolute" is the price at the
 * multiples of its length, a return since point 0; of "gap" only the first block is scored.
 */
export function weightedBlocks(grid: Grid): Map<number, Map<number, number>> {
  const stepCount = grid.horizonSeconds / grid.stepSeconds;
  const lengths = new Map<number, Map<number, number>>();
  for (const { kind, seconds } of scoringRulesFor(grid).intervals) {
    const steps = stepsIn(seconds, grid.stepSeconds);
    const count = kind === "gap" ? 1 : Math.floor(stepCount / steps);
    for (let i = 0; i < count; i++) {
      const length = kind === "absolute" ? (i + 1) * steps : steps;
      const first = kind === "absolute" ? 0 : i * steps;
      const weights = lengths.get(length) ?? new Map<number, number>();
      weights.set(first, (weights.get(first) ?? 0) + 1);
      lengths.set(length, weights);
    }
  }
  return new Map([...lengths].sort(([a], [b]) => a - b));
}

export type PlanOptions = Pick<FitOptions, "knotSeconds" | "ratioSeconds" | "shape" | "seed">;

/** Throws RangeError on knots that do not ascend, and on ratio lengths that are not nested multiples of the step. */
export function pricePlan({ horizonSeconds, stepSeconds }: Grid, options: PlanOptions): PricePlan {
  const { knotSeconds, ratioSeconds } = options;
  const stepCount = horizonSeconds / stepSeconds;
  checkLengths(stepSeconds, options);
  const blocks = weightedBlocks({ horizonSeconds, stepSeconds });
  const tables = crpsTables({ stepCount, stepSeconds }, blocks.keys(), options);
  const points = [stepSeconds, ...ratioSeconds].map((seconds) => seconds / stepSeconds);
  let firstBlock = 0;
  const groups = [...blocks].map(([steps, weights]): BlockGroup => {
    const group = {
      steps,
      firstBlock,
      firstSteps: Int32Array.from(weights.keys()),
      weights: Float64Array.from(weights.values()),
      table: tables.get(steps)!,
      ratioWeights: ratioWeightsOf(points, steps),
    };
    firstBlock += weights.size;
    return group;
  });
  return {
    horizonSeconds,
    stepSeconds,
    stepCount,
    knotCount: knotSeconds.length,
    ratioSeconds,
    ...basisOf(knotSeconds, { stepCount, stepSeconds }),
    groups,
    blockCount: firstBlock,
    variances: new Float64Array(stepCount),
    cumulative: new Float64Array(stepCount + 1),
    slopes: new Float64Array(stepCount + 1),
  };
}

function checkLengths(stepSeconds: number, { knotSeconds, ratioSeconds }: PlanOptions): void {
  if (knotSeconds.length === 0 || knotSeconds.some((knot, j) => j > 0 && !(knot > knotSeconds[j - 1]!))) {
    throw new RangeError(`expected ascending knots, were ${knotSeconds.join(", ")} s`);
  }
  const curve = [stepSeconds, ...ratioSeconds];
  if (curve.some((length, p) => p > 0 && !(length > curve[p - 1]! && length % curve[p - 1]! === 0))) {
    throw new RangeError(`expected nested multiples of ${stepSeconds} s, ascending, were ${ratioSeconds.join(", ")} s`);
  }
}

/** Blocks longer than the last point have its ratio: the simulator leaves blocks of that length uncorrelated. */
function ratioWeightsOf(points: readonly number[], steps: number): Float64Array {
  const length = Math.min(steps, points.at(-1)!);
  return Float64Array.from(points, (_, own) =>
    ratioAt(
      points.map((point, p) => ({ steps: point, ratio: p === own ? 1 : 0 })),
      length,
    ),
  );
}

function basisOf(
  knotSeconds: readonly number[],
  { stepCount, stepSeconds }: { stepCount: number; stepSeconds: number },
): { lowKnots: Int32Array; fractions: Float64Array } {
  const lowKnots = new Int32Array(stepCount);
  const fractions = new Float64Array(stepCount);
  for (let step = 0; step < stepCount; step++) {
    const lead = step * stepSeconds;
    const low = Math.max(
      0,
      knotSeconds.findLastIndex((knot) => knot <= lead),
    );
    const [left, right] = [knotSeconds[low]!, knotSeconds[low + 1]];
    lowKnots[step] = low;
    fractions[step] = right === undefined ? 0 : Math.max(0, (lead - left) / (right - left));
  }
  return { lowKnots, fractions };
}
