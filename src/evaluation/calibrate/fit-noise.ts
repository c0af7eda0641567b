import { impliedLagOne } from "../../engines/paths/variance-ratio.ts";
import type { AssetSymbol } from "../../market/assets.ts";
import { pricePlan, type PlanOptions, type PricePlan } from "./fit-plan.ts";
import { countIndependent } from "./fit-scale.ts";
import type { ScaleFit, ScaleSamples } from "./fit-types.ts";
import { priceDataOf, stepSigmas, vectorOf, type PriceData, type ScaleVector } from "./price-objective.ts";
import { slopeAt, valueAt } from "./shape-table.ts";

/** Fewer independent prompts say nothing of it. */
const MIN_INDEPENDENT = 100;
/** Log variance ratios of two steps beyond +-this are no market's: rho within +-.33. */
const MAX_LOG_RATIO = 0.4;
const TOLERANCE = 1e-6;

/** MA(1) noise of one asset. */
export interface NoiseFit {
  /** Of adjacent steps. */
  readonly lagOneAutocorrelation: number;
  /** Before shrinkage, as the two-step variance ratio, with its standard error. */
  readonly estimate: { readonly ratio: number; readonly standardError: number };
}

/** Null for too few prompts. */
export type NoiseFits = ReadonlyMap<AssetSymbol, NoiseFit | null>;

/**
 * The variance ratio of two steps with the least CRPS, everything else as fitted, shrunk towards what the fitted ratios imply
 * (James & Stein, positive part, by a sandwich standard error over independent origins). Only assets with a scale of their own.
 * Where no return of two steps is scored there is nothing to fit.
 */
export function fitNoise(samples: readonly ScaleSamples[], fit: ScaleFit, options: PlanOptions): NoiseFits {
  const found = new Map<AssetSymbol, NoiseFit | null>();
  const [first] = samples;
  if (!first) return found;
  const plan = pricePlan(first, options);
  if (!plan.groups.some(({ steps }) => steps === 2) || options.ratioSeconds.includes(2 * plan.stepSeconds))
    return found;
  for (const one of samples) {
    const scale = fit.assets.get(one.asset);
    if (scale) found.set(one.asset, noiseOf(priceDataOf(one, plan), plan, vectorOf(scale, plan)));
  }
  return found;
}

function noiseOf(data: PriceData, plan: PricePlan, scale: ScaleVector): NoiseFit | null {
  const independent = countIndependent(data.startTimes, plan.horizonSeconds);
  if (independent < MIN_INDEPENDENT) return null;
  const implied = impliedLogRatio(plan, scale);
  const slopes = twoStepSlopes(data, plan, scale);
  const best = rootOf((logRatio) => sum(slopes(logRatio)));
  const gradients = slopes(best);
  const curvature = (sum(slopes(best + 0.01)) - sum(slopes(best - 0.01))) / 0.02;
  // Origins that overlap see the same returns.
  const squares = gradients.reduce((total, own) => total + own * own, 0) * (data.count / independent);
  const standardError = curvature > 0 ? Math.sqrt(squares) / curvature : Infinity;
  const away = best - implied;
  const kept = away === 0 ? 0 : Math.max(0, 1 - (standardError / away) ** 2);
  return {
    lagOneAutocorrelation: Math.exp(implied + kept * away) - 1,
    estimate: { ratio: Math.exp(best), standardError },
  };
}

/** What the simulator gives two steps unasked. */
function impliedLogRatio({ ratioSeconds, stepSeconds }: PricePlan, { logRatios }: ScaleVector): number {
  const ratios = ratioSeconds.map((seconds, p) => ({ seconds, ratio: Math.exp(logRatios[p]!) }));
  return Math.log1p(impliedLagOne(ratios, stepSeconds));
}

/** Derivative in the log ratio of the CRPS of each origin's two-step returns. */
function twoStepSlopes(data: PriceData, plan: PricePlan, scale: ScaleVector): (logRatio: number) => Float64Array {
  const { firstBlock, firstSteps, weights, table } = plan.groups.find(({ steps }) => steps === 2)!;
  const sigmas = Array.from({ length: data.count }, (_, origin) => {
    const steps = stepSigmas(data, plan, scale, origin);
    return Float64Array.from(firstSteps, (first) => Math.hypot(steps[first]!, steps[first + 1]!));
  });
  return (logRatio) => {
    const scaled = Math.exp(logRatio / 2);
    return Float64Array.from(sigmas, (own, origin) => {
      const row = origin * plan.blockCount + firstBlock;
      let slope = 0;
      for (let block = 0; block < own.length; block++) {
        const x = data.returns[row + block]!;
        if (Number.isNaN(x)) continue;
        const sigma = own[block]! * scaled;
        const u = Math.abs(x) / sigma;
        const rise = slopeAt(table, u);
        slope += 0.5 * sigma * weights[block]! * (valueAt(table, u, rise) - u * rise);
      }
      return slope;
    });
  };
}

function sum(values: Float64Array): number {
  return values.reduce((total, value) => total + value, 0);
}

/** By bisection; the nearer bound where there is none inside. */
function rootOf(slope: (logRatio: number) => number): number {
  let [low, high] = [-MAX_LOG_RATIO, MAX_LOG_RATIO];
  while (high - low > TOLERANCE) {
    const middle = (low + high) / 2;
    if (slope(middle) < 0) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}
