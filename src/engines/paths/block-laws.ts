import { Random } from "../../math/random.ts";
import type { ForecastRequest } from "../engine.ts";
import type { PathModel } from "../path-model.ts";
import { addToPool, createQuantilePool, lawOf, type PoolLaw, type QuantilePool } from "./quantile-pool.ts";
import { varianceOf, type DrawReturns, type StepGrid } from "./returns.ts";

/** Paths drawn for each path answered, where MAX_SHOCKS allows … */
const OVERSAMPLING = 8;
/** … and at least so many, for the shape of the distribution when few are asked for. */
const MIN_PATHS = 1000;
/** Shocks at most, unless more are answered: 3472 paths of a day's 288 steps. More brings less than the time it takes. */
const MAX_SHOCKS = 1_000_000;
/** They are drawn so many at a time, which stay in a core's cache. */
const CHUNK_PATHS = 512;
/** Validators ask for the same few assets at the same time. A model takes at most 2 MB. */
const MAX_KNOWN = 6;

/** By the block's steps. */
type BlockLaws = ReadonlyMap<number, PoolLaw>;

interface Work {
  readonly draw: DrawReturns;
  readonly grid: StepGrid;
  /** Steps of each block. */
  readonly lengths: readonly number[];
}

/** Of the models asked for last, the latest at the end. */
const known = new Map<string, BlockLaws>();

/**
 * The distributions of the standardised returns over blocks of so many steps, each pooled over all blocks of the path. A
 * function of its arguments. The prompts of a burst, which several validators send with one start time, have one model and
 * share the work; their own paths differ. Different models of one prompt get the same random numbers, so that they compare.
 */
export function blockLaws(request: ForecastRequest, model: PathModel, work: Work): BlockLaws {
  const { asset, startTime, horizonSeconds, stepSeconds, numSimulations } = request;
  const atMost = Math.max(Math.floor(MAX_SHOCKS / work.grid.variances.length), numSimulations);
  const pathCount = Math.min(Math.max(OVERSAMPLING * numSimulations, MIN_PATHS), atMost);
  const seed = `block laws ${asset} ${startTime} ${horizonSeconds} ${stepSeconds}`;
  const key = JSON.stringify([seed, pathCount, work.lengths, factsOf(model)]);
  const laws = known.get(key) ?? drawLaws(work, { pathCount, random: Random.fromSeed(seed) });
  known.delete(key);
  known.set(key, laws);
  if (known.size > MAX_KNOWN) known.delete(known.keys().next().value!);
  return laws;
}

/** The next prompts draw theirs anew. */
export function forgetBlockLaws(): void {
  known.clear();
}

/** All of a model that its returns depend on. In a fixed order: a recording's has its fields in another. */
function factsOf(model: PathModel): unknown[] {
  const { stepSigmas, nu, latent, varianceRatios, lagOneAutocorrelation, zeroShare } = model;
  const { tau, halfLifeSeconds } = latent;
  const ratios = varianceRatios.map(({ seconds, ratio }) => [seconds, ratio]);
  return [nu, tau, halfLifeSeconds, zeroShare, lagOneAutocorrelation ?? "implied", ratios, stepSigmas];
}

function drawLaws({ draw, grid, lengths }: Work, choice: { pathCount: number; random: Random }): BlockLaws {
  const { pathCount, random } = choice;
  const pools = new Map(lengths.map((steps) => [steps, createQuantilePool()]));
  const chunk = new Float64Array(CHUNK_PATHS * grid.variances.length);
  for (let drawn = 0; drawn < pathCount; drawn += CHUNK_PATHS) {
    const count = Math.min(CHUNK_PATHS, pathCount - drawn);
    const returns = chunk.subarray(0, count * grid.variances.length);
    draw(random, returns, { pathCount: count, latents: "antithetic" });
    addBlocks(pools, grid, { returns, pathCount: count });
  }
  return new Map([...pools].map(([steps, pool]) => [steps, lawOf(pool)]));
}

/** Adds the standardised returns of all blocks of each length; leaves sums from the first step on in `returns`. */
function addBlocks(
  pools: ReadonlyMap<number, QuantilePool>,
  { variances }: StepGrid,
  { returns, pathCount }: { returns: Float64Array; pathCount: number },
): void {
  for (let i = pathCount; i < returns.length; i++) returns[i]! += returns[i - pathCount]!;
  const differences = new Float64Array(pathCount);
  for (const [steps, pool] of pools) {
    for (let first = 0; first + steps <= variances.length; first += steps) {
      const variance = varianceOf(variances, { firstStep: first, steps });
      if (variance === 0) continue;
      const end = (first + steps - 1) * pathCount;
      const start = (first - 1) * pathCount;
      for (let path = 0; path < pathCount; path++) {
        differences[path] = returns[end + path]! - (first > 0 ? returns[start + path]! : 0);
      }
      addToPool(pool, differences, 1 / Math.sqrt(variance));
    }
  }
}
