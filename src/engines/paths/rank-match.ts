import { scoringRulesFor, stepsIn } from "../../scoring/intervals.ts";
import type { ForecastRequest } from "../engine.ts";
import type { PathModel } from "../path-model.ts";
import { blockLaws } from "./block-laws.ts";
import { poolQuantiles, stratifiedQuantiles } from "./quantile-pool.ts";
import { createRanking, rankPaths, type Ranking } from "./ranks.ts";
import { varianceOf, type DrawReturns, type StepGrid } from "./returns.ts";

/**
 * Below this many paths each stays where it was drawn inside its n-th of the distribution: the mid-bin quantiles of a few
 * paths lack the tails (at 1 there is but the median, a flat path), so that the paths would no longer be plausible.
 */
const MIN_MID_BIN_PATHS = 50;
/** Where the distribution function of t(2) is 3/4. */
const QUARTILE_OF_T2 = Math.sqrt(2 / 3);
/** Longer blocks disturb shorter ones, which a second pass repairs; a third no longer changes a day's score. */
const SWEEPS = 2;
/** Fractional part of the golden ratio: its multiples are spread evenly on the circle. */
const GOLDEN = 0.618_033_988_749_894_9;

/** A span of steps whose return is scored. */
export interface ScoredBlock {
  readonly firstStep: number;
  readonly steps: number;
}

/** Every span of the prompt's competition whose return or end price is scored, each once, shortest first. */
export function scoredBlocks(request: ForecastRequest): ScoredBlock[] {
  const stepCount = request.horizonSeconds / request.stepSeconds;
  const blocks = new Map<string, ScoredBlock>();
  for (const { kind, seconds } of scoringRulesFor(request).intervals) {
    const steps = stepsIn(seconds, request.stepSeconds);
    // "absolute" is the price at multiples of its length: what was gained since point 0.
    const spans = Array.from({ length: kind === "gap" ? 1 : Math.floor(stepCount / steps) }, (_, i) =>
      kind === "absolute" ? { firstStep: 0, steps: (i + 1) * steps } : { firstStep: i * steps, steps },
    );
    for (const span of spans) blocks.set(`${span.firstStep} ${span.steps}`, span);
  }
  return [...blocks.values()].sort((a, b) => a.steps - b.steps || a.firstStep - b.firstStep);
}

/**
 * Replaces the return of every scored block by the (rank - 1/2) / n quantile of its distribution, shortest blocks first,
 * and spreads the correction over the block's steps by their shares of its variance (Zamo & Naveau 2018: of all ensembles
 * of n, these quantiles have the least expected CRPS; n independent draws pay a factor 1 + 1/n). Ranks keep the paths'
 * dependence over time. Longer blocks move the steps of shorter ones again, hence a second sweep. Fewer than 50 paths are
 * stratified instead.
 *
 * The quantiles are those of *standardised* returns, pooled over all blocks of one length in the path and over a larger
 * ensemble (block-laws.ts), with its mirror image: one block's own sample would be too small to know its scale, which
 * the model gives exactly. That takes the distribution's shape to be the same at every lead time, as it is with the latent
 * volatility in its stationary law from the first step on; sigmas that differ much inside a block (an announcement)
 * make its tails heavier than the pool's, and blocks across the borders of the model's variance ratios get the mean
 * ratio of their length.
 *
 * Returns are driftless here: a centre is added afterwards and shifts every quantile alike.
 *
 * `returns`: log returns, row-major [step, path], the answer's paths, changed in place. The larger ensemble comes from `draw`.
 */
export function matchRanks(
  request: ForecastRequest,
  model: PathModel,
  work: { draw: DrawReturns; grid: StepGrid; returns: Float64Array },
): void {
  const { draw, grid, returns } = work;
  const pathCount = request.numSimulations;
  const blocks = scoredBlocks(request);
  const lengths = [...new Set(blocks.map(({ steps }) => steps))];
  const laws = blockLaws(request, model, { draw, grid, lengths });
  const midBins = new Map([...laws].map(([steps, law]) => [steps, poolQuantiles(law, pathCount)]));
  const matching: Matching = {
    returns,
    variances: grid.variances,
    hasZeros: model.zeroShare > 0,
    values: new Float64Array(pathCount),
    traded: new Float64Array(pathCount),
    ranking: createRanking(pathCount),
  };
  // From the paths as drawn: a second sweep must find the same targets.
  const targets = blocks.map((block) => {
    if (pathCount >= MIN_MID_BIN_PATHS) return midBins.get(block.steps)!;
    const sigma = blockReturns(matching, block);
    return stratifiedQuantiles(laws.get(block.steps)!, matching.values.map((value) => value / sigma).sort());
  });
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    blocks.forEach((block, index) => {
      matchBlock(matching, {
        block,
        targets: targets[index]!,
        quartile: midBins.get(block.steps)![Math.floor(0.75 * pathCount)]!,
        first: Math.floor(((index * GOLDEN) % 1) * pathCount),
      });
    });
  }
}

interface Matching {
  readonly returns: Float64Array;
  readonly variances: Float64Array;
  /** Whether steps without trade stay so: they then take no part of a correction. */
  readonly hasZeros: boolean;
  /** Per path: the block's return, then its correction. */
  readonly values: Float64Array;
  /** Per path: variance of the block's steps that traded. */
  readonly traded: Float64Array;
  readonly ranking: Ranking;
}

/** The return of each path over the block, in `values`; its standard deviation is the result. */
function blockReturns({ returns, variances, values }: Matching, block: ScoredBlock): number {
  const pathCount = values.length;
  values.fill(0);
  for (let step = block.firstStep; step < block.firstStep + block.steps; step++) {
    const row = step * pathCount;
    for (let path = 0; path < pathCount; path++) values[path]! += returns[row + path]!;
  }
  return Math.sqrt(varianceOf(variances, block));
}

function matchBlock(
  matching: Matching,
  target: { block: ScoredBlock; targets: Float64Array; quartile: number; first: number },
): void {
  const { returns, variances, values, ranking } = matching;
  const { block, targets, quartile, first } = target;
  const pathCount = values.length;
  const variance = varianceOf(variances, block);
  if (variance === 0) return;
  const sigma = blockReturns(matching, block);
  rankPaths(ranking, values, { scale: quartile > 0 ? (sigma * quartile) / QUARTILE_OF_T2 : sigma, first });
  for (let rank = 0; rank < pathCount; rank++) {
    const path = ranking.order[rank]!;
    values[path] = sigma * targets[rank]! - values[path]!;
  }
  if (matching.hasZeros && block.steps > 1) spreadOverTraded(matching, block, variance);
  else {
    for (let step = block.firstStep; step < block.firstStep + block.steps; step++) {
      const share = variances[step]! / variance;
      const row = step * pathCount;
      for (let path = 0; path < pathCount; path++) returns[row + path]! += share * values[path]!;
    }
  }
}

/** Corrects only steps that traded; all of them where none did. */
function spreadOverTraded(matching: Matching, { firstStep, steps }: ScoredBlock, variance: number): void {
  const { returns, variances, values, traded } = matching;
  const pathCount = values.length;
  traded.fill(0);
  for (let step = firstStep; step < firstStep + steps; step++) {
    const row = step * pathCount;
    const own = variances[step]!;
    for (let path = 0; path < pathCount; path++) if (returns[row + path] !== 0) traded[path]! += own;
  }
  for (let step = firstStep; step < firstStep + steps; step++) {
    const row = step * pathCount;
    const own = variances[step]!;
    for (let path = 0; path < pathCount; path++) {
      const whole = traded[path]!;
      if (whole === 0) returns[row + path] = (own / variance) * values[path]!;
      else if (returns[row + path] !== 0) returns[row + path]! += (own / whole) * values[path]!;
    }
  }
}
