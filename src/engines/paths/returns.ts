import type { Random } from "../../math/random.ts";
import type { PathModel } from "../path-model.ts";
import { fillNormals, studentShocks } from "./student-shocks.ts";
import { varianceRatioStage } from "./variance-ratio.ts";

/**
 * Fills log returns, row-major [step, path], with the next paths of the generator. Latent volatilities are independent, or
 * antithetic: those of the second half mirror the first's, each path with the law of the model, which halves the noise of
 * what is averaged over paths.
 */
export type DrawReturns = (
  random: Random,
  returns: Float64Array,
  choice: { readonly pathCount: number; readonly latents: "independent" | "antithetic" },
) => void;

/** What the stages of a simulation need to know of the grid. */
export interface StepGrid {
  readonly stepSeconds: number;
  /** Variance of each step's log return. */
  readonly variances: Float64Array;
}

/** Of the return over a span of steps without correlation. */
export function varianceOf(
  variances: Float64Array,
  { firstStep, steps }: { firstStep: number; steps: number },
): number {
  let sum = 0;
  for (let step = firstStep; step < firstStep + steps; step++) sum += variances[step]!;
  return sum;
}

/**
 * Adds the latent log-volatility: h_1 from the stationary law N(0, tau²), then h_j = phi · h_{j-1} + tau · sqrt(1 - phi²) · e_j,
 * phi = 2^(-step / half-life). `factors` receives exp(h_j - tau²) of each path.
 */
function latentStage({ latent }: PathModel, stepSeconds: number): (random: Random, state: LatentState) => void {
  const { tau, halfLifeSeconds } = latent;
  const phi = 2 ** (-stepSeconds / halfLifeSeconds);
  const innovation = tau * Math.sqrt(1 - phi * phi);
  const level = tau * tau;
  return (random, { started, antithetic, h, normals, factors }) => {
    const drawn = antithetic ? Math.ceil(h.length / 2) : h.length;
    fillNormals(random, normals.subarray(0, drawn));
    for (let path = drawn; path < h.length; path++) normals[path] = -normals[path - drawn]!;
    const keep = started ? phi : 0;
    const add = started ? innovation : tau;
    for (let path = 0; path < h.length; path++) {
      const value = keep * h[path]! + add * normals[path]!;
      h[path] = value;
      factors[path] = Math.exp(value - level);
    }
  };
}

interface LatentState {
  readonly started: boolean;
  readonly antithetic: boolean;
  readonly h: Float64Array;
  readonly normals: Float64Array;
  readonly factors: Float64Array;
}

/**
 * The returns r_j of the model (see path-model.ts) with their zeros and variance ratios, before any rank matching.
 * All paths take a step together, so that inner loops run over contiguous memory.
 */
export function returnsOf(model: PathModel, grid: StepGrid): DrawReturns {
  const { stepSigmas, zeroShare, latent } = model;
  const fillShocks = studentShocks(model.nu);
  const advanceLatent = latent.tau > 0 ? latentStage(model, grid.stepSeconds) : null;
  const applyRatios = varianceRatioStage(model, grid);
  // The steps that do trade carry the variance of those that do not.
  const traded = 1 / Math.sqrt(1 - zeroShare);
  return (random, returns, { pathCount, latents }) => {
    const antithetic = latents === "antithetic";
    const h = new Float64Array(pathCount);
    const normals = new Float64Array(pathCount);
    const factors = new Float64Array(pathCount).fill(1);
    for (let step = 0; step < stepSigmas.length; step++) {
      const row = returns.subarray(step * pathCount, (step + 1) * pathCount);
      fillShocks(random, row);
      advanceLatent?.(random, { started: step > 0, antithetic, h, normals, factors });
      const sigma = stepSigmas[step]! * traded;
      for (let path = 0; path < pathCount; path++) row[path]! *= sigma * factors[path]!;
      if (zeroShare > 0) {
        for (let path = 0; path < pathCount; path++) if (random.uniform() < zeroShare) row[path] = 0;
      }
    }
    applyRatios?.(returns, pathCount);
  };
}
