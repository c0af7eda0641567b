import type { AssetScale, ScaleSamples } from "./fit-types.ts";
import type { PricePlan } from "./fit-plan.ts";
import { slopeAt, valueAt } from "./shape-table.ts";

const BPS = 10_000;

/** Samples without their unusable origins, and with the returns that are scored. */
export interface PriceData {
  readonly count: number;
  readonly featureCount: number;
  readonly startTimes: Float64Array;
  /** Index in the samples. */
  readonly origins: Int32Array;
  readonly features: Float64Array;
  readonly logSeasonal: Float64Array;
  /** Log returns, row-major [origin, block]; NaN where a price at an end is missing. */
  readonly returns: Float64Array;
}

/** Leaves out origins with a feature or factor that is not finite, and those of which no scored return was observed. */
export function priceDataOf(samples: ScaleSamples, plan: PricePlan): PriceData {
  const { featureCount, count } = samples;
  const { stepCount, groups, blockCount } = plan;
  checkShapes(samples, plan);
  const all = new Float64Array(count * blockCount);
  for (let origin = 0; origin < count; origin++) {
    const prices = origin * (stepCount + 1);
    let block = origin * blockCount;
    for (const { steps, firstSteps } of groups) {
      for (const first of firstSteps) {
        all[block++] = samples.logPrices[prices + first + steps]! - samples.logPrices[prices + first]!;
      }
    }
  }
  const usable = (origin: number): boolean =>
    rowOf(samples.features, origin, featureCount).every(Number.isFinite) &&
    rowOf(samples.logSeasonal, origin, stepCount).every(Number.isFinite) &&
    rowOf(all, origin, blockCount).some(Number.isFinite);
  const origins = Int32Array.from(new Int32Array(count).map((_, i) => i)).filter(usable);
  const rows = (values: Float64Array, width: number): Float64Array => {
    const kept = new Float64Array(origins.length * width);
    origins.forEach((origin, i) => {
      kept.set(rowOf(values, origin, width), i * width);
    });
    return kept;
  };
  return {
    count: origins.length,
    featureCount,
    startTimes: rows(samples.startTimes, 1),
    origins,
    features: rows(samples.features, featureCount),
    logSeasonal: rows(samples.logSeasonal, stepCount),
    returns: rows(all, blockCount),
  };
}

function rowOf(values: Float64Array, row: number, width: number): Float64Array {
  return values.subarray(row * width, (row + 1) * width);
}

function checkShapes(samples: ScaleSamples, plan: PricePlan): void {
  const { asset, horizonSeconds, stepSeconds, featureCount, count, features, logSeasonal, logPrices } = samples;
  const fits =
    horizonSeconds === plan.horizonSeconds &&
    stepSeconds === plan.stepSeconds &&
    samples.startTimes.length === count &&
    features.length === count * featureCount &&
    logSeasonal.length === count * plan.stepCount &&
    logPrices.length === count * (plan.stepCount + 1);
  if (!fits) throw new RangeError(`expected ${count} origins of one grid in every array of ${asset}'s samples`);
}

/** Parameters of one asset, or the gradient in them. */
export interface ScaleVector {
  /** Per knot. */
  readonly intercepts: Float64Array;
  /** Row-major [feature, knot]. */
  readonly betas: Float64Array;
  /** Per length of the plan's `ratioSeconds`. */
  readonly logRatios: Float64Array;
}

/**
 * Mean over origins of Σ weight · CRPS, in units of log returns. Adds its gradient times `factor` to `gradient`, and writes
 * the loss of each origin to `perOrigin`. For a block of variance R · V = R · Σ sigma_i² and CRPS sigma · C(u), u = |x| / sigma,
 * the derivative in log sigma is g = sigma (C - u C'); in log sigma_i it is g · sigma_i² / V, in log R g / 2.
 */
export function priceObjective(
  data: PriceData,
  plan: PricePlan,
  scale: ScaleVector,
  out: { readonly gradient?: ScaleVector; readonly factor?: number; readonly perOrigin?: Float64Array },
): number {
  const { groups, blockCount, cumulative, slopes } = plan;
  const { count, returns } = data;
  const knots = new Float64Array(plan.knotCount);
  const groupRatios = Float64Array.from(groups, ({ ratioWeights }) => ratioOf(ratioWeights, scale.logRatios));
  const groupSlopes = new Float64Array(groups.length);
  const factor = (out.factor ?? 1) / count;
  let total = 0;
  for (let origin = 0; origin < count; origin++) {
    fillVariances(data, plan, scale, { origin, knots });
    slopes.fill(0);
    let loss = 0;
    for (let g = 0; g < groups.length; g++) {
      const { steps, firstBlock, firstSteps, weights, table } = groups[g]!;
      const ratio = groupRatios[g]!;
      const row = origin * blockCount + firstBlock;
      let groupSlope = 0;
      for (let block = 0; block < firstSteps.length; block++) {
        const x = returns[row + block]!;
        if (Number.isNaN(x)) continue;
        const first = firstSteps[block]!;
        const variance = cumulative[first + steps]! - cumulative[first]!;
        const weighted = Math.sqrt(ratio * variance);
        const u = Math.abs(x) / weighted;
        const slope = slopeAt(table, u);
        const value = valueAt(table, u, slope);
        const sigma = weighted * weights[block]!;
        loss += sigma * value;
        const own = sigma * (value - u * slope);
        groupSlope += own;
        slopes[first]! += own / variance;
        slopes[first + steps]! -= own / variance;
      }
      groupSlopes[g]! += groupSlope;
    }
    total += loss;
    if (out.perOrigin) out.perOrigin[origin] = loss;
    if (out.gradient) addScaleSlopes(data, plan, out.gradient, { origin, knots, factor });
  }
  if (out.gradient) {
    for (let g = 0; g < groups.length; g++) {
      const { ratioWeights } = groups[g]!;
      const each = (0.5 * factor * groupSlopes[g]!) / groupRatios[g]!;
      for (let p = 0; p < scale.logRatios.length; p++) {
        out.gradient.logRatios[p]! += each * ratioWeights[p + 1]! * Math.exp(scale.logRatios[p]!);
      }
    }
  }
  return total / count;
}

function ratioOf(weights: Float64Array, logRatios: Float64Array): number {
  let ratio = weights[0]!;
  for (let p = 0; p < logRatios.length; p++) ratio += weights[p + 1]! * Math.exp(logRatios[p]!);
  return ratio;
}

/** Variance of each step of one origin and their sums, into the plan's rooms. */
function fillVariances(
  data: PriceData,
  plan: PricePlan,
  scale: ScaleVector,
  { origin, knots }: { readonly origin: number; readonly knots: Float64Array },
): void {
  const { features, featureCount, logSeasonal } = data;
  const { stepCount, knotCount, lowKnots, fractions, variances, cumulative } = plan;
  knots.set(scale.intercepts);
  for (let k = 0; k < featureCount; k++) {
    const x = features[origin * featureCount + k]!;
    for (let j = 0; j < knotCount; j++) knots[j]! += scale.betas[k * knotCount + j]! * x;
  }
  const row = origin * stepCount;
  for (let step = 0; step < stepCount; step++) {
    const low = lowKnots[step]!;
    const left = knots[low]!;
    const fraction = fractions[step]!;
    // The last knot has no neighbour.
    const level = fraction === 0 ? left : left + fraction * (knots[low + 1]! - left);
    const variance = Math.exp(2 * (level + logSeasonal[row + step]!));
    variances[step] = variance;
    cumulative[step + 1] = cumulative[step]! + variance;
  }
}

/** From d loss / d log sigma_i, as the plan's `slopes` (differences of what multiplies sigma_i²), to intercepts and betas. */
function addScaleSlopes(
  { features, featureCount }: PriceData,
  { stepCount, knotCount, lowKnots, fractions, variances, slopes }: PricePlan,
  gradient: ScaleVector,
  at: { readonly origin: number; readonly knots: Float64Array; readonly factor: number },
): void {
  const { origin, knots, factor } = at;
  knots.fill(0);
  let open = 0;
  for (let step = 0; step < stepCount; step++) {
    open += slopes[step]!;
    const own = open * variances[step]! * factor;
    const low = lowKnots[step]!;
    const fraction = fractions[step]!;
    knots[low]! += (1 - fraction) * own;
    if (fraction > 0) knots[low + 1]! += fraction * own;
  }
  for (let j = 0; j < knotCount; j++) gradient.intercepts[j]! += knots[j]!;
  for (let k = 0; k < featureCount; k++) {
    const x = features[origin * featureCount + k]!;
    for (let j = 0; j < knotCount; j++) gradient.betas[k * knotCount + j]! += x * knots[j]!;
  }
}

/** Step sigmas of one origin under a scale, before the variance ratios. */
export function stepSigmas(data: PriceData, plan: PricePlan, scale: ScaleVector, origin: number): Float64Array {
  fillVariances(data, plan, scale, { origin, knots: new Float64Array(plan.knotCount) });
  return plan.variances.map(Math.sqrt);
}

/** The asset's scale as parameters. Throws RangeError where its knots or ratio lengths are not the plan's. */
export function vectorOf(scale: AssetScale, plan: PricePlan): ScaleVector {
  const { intercepts, betas, varianceRatios } = scale;
  const fits =
    [intercepts, ...betas].every(({ length }) => length === plan.knotCount) &&
    varianceRatios.length === plan.ratioSeconds.length &&
    varianceRatios.every(({ seconds }, p) => seconds === plan.ratioSeconds[p]);
  if (!fits) throw new RangeError("expected a scale with the knots and variance-ratio lengths of the plan");
  return {
    intercepts: Float64Array.from(intercepts),
    betas: Float64Array.from(betas.flat()),
    logRatios: Float64Array.from(varianceRatios, ({ ratio }) => Math.log(ratio)),
  };
}

export interface PriceLoss {
  /** Σ weight · CRPS of a prompt, bps. */
  readonly meanBps: number;
  /** By the samples' origins; NaN for one that had to be left out. */
  readonly perOriginBps: Float64Array;
}

/** Price loss of a scale on samples it was not necessarily fitted to. */
export function priceLoss(samples: ScaleSamples, scale: AssetScale, plan: PricePlan): PriceLoss {
  const data = priceDataOf(samples, plan);
  const losses = new Float64Array(data.count);
  const mean = priceObjective(data, plan, vectorOf(scale, plan), { perOrigin: losses });
  const perOriginBps = new Float64Array(samples.count).fill(NaN);
  data.origins.forEach((origin, i) => (perOriginBps[origin] = losses[i]! * BPS));
  return { meanBps: mean * BPS, perOriginBps };
}
