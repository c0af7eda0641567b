import { returnsOf } from "../../engines/paths/returns.ts";
import { Random } from "../../math/random.ts";
import type { Shape } from "./fit-types.ts";

/**
 * CRPS of a standardised block return Z, symmetric about zero, as a function of u = |observation|:
 *
 *     C(u) = E|Z - u| - E|Z - Z'| / 2,   C'(u) = 2 F(u) - 1 = P(|Z| <= u),   C(0) = 1/2 ∫_0^∞ P(|Z| > z)² dz.
 *
 * The slope is linear between nodes 1 / NODES_PER_UNIT apart, and C is its exact integral; from the last node on the slope
 * is 1. A return of scale sigma scores sigma · C(|x| / sigma).
 */
export interface CrpsTable {
  readonly slopes: Float64Array;
  readonly values: Float64Array;
}

/** Linear slopes inside .01 standard deviations are off by less than 1e-5. */
const NODES_PER_UNIT = 100;
/** Returns beyond are counted here: shocks themselves are cut at 30 before the latent volatility. */
const LAST_NODE = 40 * NODES_PER_UNIT;

/** A day's 50 thousand paths: 800 thousand returns of 3 h with their mirror images, and 100 thousand of the day, 4 % of the score. */
const MAX_SHOCKS = 14_400_000;
const MAX_PATHS = 100_000;
/** Paths drawn together stay in a core's cache. */
const CHUNK_PATHS = 500;

/**
 * Tables by block length in steps, of the law that the simulator draws from: steps of one constant sigma, without variance
 * ratios. Blocks of one length in a path share a table; a sampling error of the table's scale is taken up by the fitted one.
 */
export function crpsTables(
  grid: { readonly stepCount: number; readonly stepSeconds: number },
  lengths: Iterable<number>,
  law: { readonly shape: Shape; readonly seed: number },
): Map<number, CrpsTable> {
  const { stepCount, stepSeconds } = grid;
  const counts = new Map([...lengths].map((steps) => [steps, new Uint32Array(LAST_NODE)]));
  const ones = new Float64Array(stepCount).fill(1);
  const model = {
    anchorPrice: 1,
    stepSigmas: [...ones],
    ...law.shape,
    varianceRatios: [],
    zeroShare: 0,
    rankMatched: false,
  };
  const draw = returnsOf(model, { stepSeconds, variances: ones });
  const random = Random.fromSeed(`crps table ${law.seed}`);
  const chunks = Math.ceil(Math.min(MAX_SHOCKS / stepCount, MAX_PATHS) / CHUNK_PATHS);
  const returns = new Float64Array(CHUNK_PATHS * stepCount);
  for (let chunk = 0; chunk < chunks; chunk++) {
    draw(random, returns, { pathCount: CHUNK_PATHS, latents: "antithetic" });
    for (let i = CHUNK_PATHS; i < returns.length; i++) returns[i]! += returns[i - CHUNK_PATHS]!;
    for (const [steps, bins] of counts) countBlocks(bins, returns, { steps, stepCount });
  }
  return new Map([...counts].map(([steps, bins]) => [steps, tableOf(bins)]));
}

/** Counts |block return| / sqrt(steps) of all whole blocks; `sums`: cumulative returns, row-major [step, path]. */
function countBlocks(bins: Uint32Array, sums: Float64Array, block: { steps: number; stepCount: number }): void {
  const { steps, stepCount } = block;
  const scale = NODES_PER_UNIT / Math.sqrt(steps);
  for (let end = steps; end <= stepCount; end += steps) {
    const to = (end - 1) * CHUNK_PATHS;
    const from = (end - steps - 1) * CHUNK_PATHS;
    for (let path = 0; path < CHUNK_PATHS; path++) {
      const x = sums[to + path]! - (from < 0 ? 0 : sums[from + path]!);
      bins[Math.min(Math.abs(x) * scale, LAST_NODE - 1) | 0]!++;
    }
  }
}

function tableOf(bins: Uint32Array): CrpsTable {
  const slopes = new Float64Array(LAST_NODE + 1);
  let total = 0;
  for (let node = 0; node < LAST_NODE; node++) slopes[node + 1] = total += bins[node]!;
  let spread = 0;
  for (let node = 0; node <= LAST_NODE; node++) slopes[node]! /= total;
  for (let node = 0; node < LAST_NODE; node++) {
    // ∫ of the square of a linear function over the interval.
    const [left, right] = [1 - slopes[node]!, 1 - slopes[node + 1]!];
    spread += (left * left + left * right + right * right) / (3 * NODES_PER_UNIT);
  }
  const values = new Float64Array(LAST_NODE + 1);
  values[0] = spread / 2;
  for (let node = 0; node < LAST_NODE; node++) {
    values[node + 1] = values[node]! + (slopes[node]! + slopes[node + 1]!) / (2 * NODES_PER_UNIT);
  }
  return { slopes, values };
}

/** P(|Z| <= u), for u >= 0. */
export function slopeAt({ slopes }: CrpsTable, u: number): number {
  const position = u * NODES_PER_UNIT;
  if (position >= LAST_NODE) return 1;
  const node = position | 0;
  return slopes[node]! + (position - node) * (slopes[node + 1]! - slopes[node]!);
}

/** C(u), for u >= 0; `slope`: `slopeAt` the same u. */
export function valueAt({ slopes, values }: CrpsTable, u: number, slope: number): number {
  const position = u * NODES_PER_UNIT;
  if (position >= LAST_NODE) return values[LAST_NODE]! + u - LAST_NODE / NODES_PER_UNIT;
  const node = position | 0;
  return values[node]! + ((position - node) * (slopes[node]! + slope)) / (2 * NODES_PER_UNIT);
}
