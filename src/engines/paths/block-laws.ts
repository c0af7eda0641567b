import { createHash } from "node:crypto";
import { Random } from "../../math/random.ts";
import type { PathModel } from "../path-model.ts";
import { addToPool, createQuantilePool, lawOf, type PoolLaw, type QuantilePool } from "./quantile-pool.ts";
import type { DrawReturns, StepGrid } from "./returns.ts";

/** Shocks of a model at most: 3472 paths of a day's 288 steps. More brings less than the time it takes. */
const MAX_SHOCKS = 1_000_000;
/** Paths drawn for each path answered, where MAX_SHOCKS allows. */
const OVERSAMPLING = 8;
/** They are drawn so many at a time, which stay in a core's cache. */
const CHUNK_PATHS = 512;
/** … and at least so many, for the shape of the distribution when few are asked for. */
const MIN_PATHS = 1000;
/** Validators ask for the same few assets at the same time. A model takes at most 2 MB. */
const MAX_KNOWN = 6;

type BlockLaws = ReadonlyMap<number, PoolLaw>;

/** Of the models asked for last, the latest at the end. */
const known = new Map<string, BlockLaws>();

/**
 * The distributions of the standardised returns over blocks of so many steps, by the block's steps, each pooled over all
 * blocks of the path. A function of its arguments: the paths' seed is the model itself, so that the prompts of one burst, which
 * several validators send with one start time, share the work and no two answers their paths.
 */
export function blockLaws(
  model: PathModel,
  work: { draw: DrawReturns; grid: StepGrid; lengths: readonly number[]; pathCount: number },
): BlockLaws {
  const { grid } = work;
  const wanted = Math.max(OVERSAMPLING * work.pathCount, MIN_PATHS);
  const pathCount = Math.min(wanted, Math.floor(MAX_SHOCKS / grid.variances.length));
  const key = createHash("sha256")
    .update(factsOf(model, { ...work, pathCount }))
    .digest("hex");
  const laws = known.get(key) ?? drawLaws({ ...work, pathCount, seed: key });
  known.delete(key);
  known.set(key, laws);
  if (known.size > MAX_KNOWN) known.delete(known.keys().next().value!);
  return laws;
}

/** All that the returns depend on. In a fixed order: a recording's model has its fields in another. */
function factsOf(
  { stepSigmas, nu, latent, varianceRatios, lagOneAutocorrelation, zeroShare }: PathModel,
  { grid, lengths, pathCount }: { grid: StepGrid; lengths: readonly number[]; pathCount: number },
): string {
  const { tau, halfLifeSeconds } = latent;
  return JSON.stringify([
    [pathCount, grid.stepSeconds, nu, tau, halfLifeSeconds, zeroShare, lagOneAutocorrelation ?? null],
    lengths,
    varianceRatios.map(({ seconds, ratio }) => [seconds, ratio]),
    stepSigmas,
  ]);
}

function drawLaws(work: {
  draw: DrawReturns;
  grid: StepGrid;
  lengths: readonly number[];
  pathCount: number;
  seed: string;
}): BlockLaws {
  const { draw, grid, lengths, pathCount, seed } = work;
  const random = Random.fromSeed(seed);
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
      const variance = variances.subarray(first, first + steps).reduce((sum, own) => sum + own, 0);
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
