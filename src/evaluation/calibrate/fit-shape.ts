import type { AssetSymbol } from "../../market/assets.ts";
import { countIndependent, fitScaleOn } from "./fit-scale.ts";
import type { ScaleFit, ScaleSamples, Shape, ShapeFit, ShapeFitOptions, ShapeLoss } from "./fit-types.ts";
import { pricePlan } from "./fit-plan.ts";
import { priceDataOf, priceLoss } from "./price-objective.ts";
import { evenly, volatilityLoss } from "./volatility-objective.ts";

const DEFAULT_MAX_ORIGINS = 400;
const DEFAULT_MAX_SIMULATED_ORIGINS = 150;
/** A pass over the three coordinates that changes nothing ends the search; it did so after the second on real data. */
const MAX_PASSES = 3;
/** The scale moves little between neighbouring shapes, and its fit starts from the one before. */
const REFIT_ITERATIONS = 40;

/**
 * Chooses nu, tau and the half-life by coordinate search on the grid: for every shape tried the scale is fitted anew, and
 * the loss is price CRPS by the closed form plus, where the competition scores it, the weighted volatility CRPS of simulated
 * ensembles, of each asset relative to its total under the given shape. All on the same origins and random numbers.
 *
 * The three are fitted to the same origins as they are judged on: three numbers among thousands of returns.
 */
export function fitShape(samples: readonly ScaleSamples[], options: ShapeFitOptions): ShapeFit {
  const independent = usableIndependent(samples, options);
  if (independent < options.minOrigins) {
    const fallback = `${independent} independent origins, fewer than ${options.minOrigins}: kept the given shape`;
    return { shape: options.shape, losses: [], fallback };
  }
  const used = samples.map((one) => thinned(one, options.maxOrigins ?? DEFAULT_MAX_ORIGINS));
  const tried = new Map<string, ShapeLoss>();
  const evaluate = evaluatorOf(used, options);
  const lossOf = (shape: Shape): ShapeLoss => {
    const key = JSON.stringify(shape);
    const loss = tried.get(key) ?? evaluate(shape);
    tried.set(key, loss);
    return loss;
  };
  let best = lossOf(options.shape);
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    const before = best;
    for (const neighbours of COORDINATES) {
      for (const shape of neighbours(best.shape, options.grid)) {
        const loss = lossOf(shape);
        if (loss.total < best.total) best = loss;
      }
    }
    if (best === before) break;
  }
  return { shape: best.shape, losses: [...tried.values()], fallback: null };
}

type Neighbours = (shape: Shape, grid: ShapeFitOptions["grid"]) => Shape[];

const COORDINATES: readonly Neighbours[] = [
  (shape, grid) => grid.nu.map((nu) => ({ ...shape, nu })),
  (shape, grid) => grid.tau.map((tau) => ({ ...shape, latent: { ...shape.latent, tau } })),
  // Without latent volatility it has no half-life.
  (shape, grid) =>
    shape.latent.tau > 0
      ? grid.halfLifeSeconds.map((halfLifeSeconds) => ({ ...shape, latent: { ...shape.latent, halfLifeSeconds } }))
      : [],
];

function usableIndependent(samples: readonly ScaleSamples[], options: ShapeFitOptions): number {
  const [first] = samples;
  if (!first) return 0;
  const plan = pricePlan(first, options);
  return samples.reduce((sum, one) => sum + countIndependent(priceDataOf(one, plan).startTimes, one.horizonSeconds), 0);
}

/** The loss of a shape relative to the first one asked for. */
function evaluatorOf(samples: readonly ScaleSamples[], options: ShapeFitOptions): (shape: Shape) => ShapeLoss {
  const maxOrigins = options.maxSimulatedOrigins ?? DEFAULT_MAX_SIMULATED_ORIGINS;
  const reference = new Map<AssetSymbol, number>();
  let fit: ScaleFit | undefined = options.start;
  return (shape) => {
    const plan = pricePlan(samples[0]!, { ...options, shape });
    const limits = reference.size > 0 && { maxIterations: REFIT_ITERATIONS };
    const current = fitScaleOn(plan, samples, { ...options, shape, ...limits, ...(fit && { start: fit }) });
    fit = current;
    let [priceSum, volatilitySum] = [0, 0];
    for (const one of samples) {
      const scale = current.assets.get(one.asset);
      if (!scale) continue;
      const price = priceLoss(one, scale, plan).meanBps;
      const volatility = volatilityLoss(one, scale, plan, { shape, seed: options.seed, maxOrigins });
      const whole = reference.get(one.asset) ?? price + volatility;
      reference.set(one.asset, whole);
      priceSum += price / whole;
      volatilitySum += volatility / whole;
    }
    const assets = current.assets.size;
    return {
      shape,
      priceLoss: priceSum / assets,
      volatilityLoss: volatilitySum / assets,
      total: (priceSum + volatilitySum) / assets,
    };
  };
}

/** The samples with at most `max` evenly spread origins. */
function thinned(samples: ScaleSamples, max: number): ScaleSamples {
  const origins = evenly(samples.count, max);
  const rows = (values: Float64Array): Float64Array => {
    const width = values.length / samples.count;
    const kept = new Float64Array(origins.length * width);
    for (const [i, origin] of origins.entries()) {
      kept.set(values.subarray(origin * width, (origin + 1) * width), i * width);
    }
    return kept;
  };
  return {
    ...samples,
    count: origins.length,
    startTimes: rows(samples.startTimes),
    features: rows(samples.features),
    logSeasonal: rows(samples.logSeasonal),
    logPrices: rows(samples.logPrices),
  };
}
