import { OperationalError } from "../../errors.ts";
import type { AssetClass, AssetSymbol } from "../../market/assets.ts";
import type { AssetScale, FitOptions, RidgeStrengths, ScaleFit, ScaleSamples } from "./fit-types.ts";
import { addRidges, assemble, emptyVector, layoutOf, scatter, type Layout, type Task } from "./fit-parameters.ts";
import { minimise } from "./lbfgs.ts";
import { pricePlan, type PricePlan } from "./fit-plan.ts";
import { priceDataOf, priceObjective, type PriceData, type ScaleVector } from "./price-objective.ts";

/**
 * Chosen on five coins (24h, fitted January to August 2025, tested September to December): with 80 recent origins of ETH and
 * HYPE the test loss is .9778 at beta .1 and .9774 at 10; with all origins no strength from .1 to 10 moved it by more than .0002.
 */
const DEFAULT_RIDGES: RidgeStrengths = { intercept: 3, beta: 10, ratio: 1, smoothness: 0.1 };
const DEFAULT_MAX_ITERATIONS = 200;
/** Relative decrease of the loss below which an iteration counts as none. */
const DECREASE_TOLERANCE = 1e-7;

/**
 * Fits the scale (see fit-types.ts) of one competition by minimum CRPS (Gebetsberger et al. 2018), all assets together:
 * the mean of their losses relative to a constant sigma, weighted by independent origins, plus ridges that keep an asset
 * near its class and betas smooth over lead time. So weighted, all assets are tied to their class equally strongly. Betas are shared by all assets, intercepts and variance ratios by those of a class.
 *
 * Throws OperationalError CALIBRATION_NO_ORIGINS without a single usable origin, RangeError on samples of different grids.
 */
export function fitScale(samples: readonly ScaleSamples[], options: FitOptions): ScaleFit {
  const [first] = samples;
  if (!first) throw noOrigins(samples);
  return fitScaleOn(pricePlan(first, options), samples, options);
}

/** The same with a plan that was made for these options. */
export function fitScaleOn(plan: PricePlan, samples: readonly ScaleSamples[], options: FitOptions): ScaleFit {
  const data = samples.map((one) => priceDataOf(one, plan));
  const tasks = tasksOf(samples, data, plan);
  if (tasks.length === 0) throw noOrigins(samples);
  const layout = layoutOf(tasks, plan);
  const objective = objectiveOf(tasks, layout, { plan, ridges: options.ridges ?? DEFAULT_RIDGES });
  const minimum = minimise((x, gradient) => objective(x, gradient), startOf(tasks, layout, options.start), {
    maxIterations: options.maxIterations ?? DEFAULT_MAX_ITERATIONS,
    decreaseTolerance: DECREASE_TOLERANCE,
    ...(options.onProgress && { onProgress: options.onProgress }),
  });
  return {
    ...scalesOf(tasks, layout, { plan, x: minimum.x }),
    iterations: minimum.iterations,
    droppedOrigins: new Map(samples.map(({ asset, count }, i) => [asset, count - data[i]!.count])),
  };
}

function noOrigins(samples: readonly ScaleSamples[]): OperationalError {
  const assets = samples.map(({ asset }) => asset);
  return new OperationalError("CALIBRATION_NO_ORIGINS", "expected at least one usable origin; give more history", {
    details: { assets },
  });
}

function tasksOf(samples: readonly ScaleSamples[], data: readonly PriceData[], plan: PricePlan): Task[] {
  const tasks = samples.flatMap((one, i) => {
    const constant = constantSigma(data[i]!, plan);
    if (!constant) return [];
    const independentOrigins = countIndependent(data[i]!.startTimes, plan.horizonSeconds);
    return [{ samples: one, data: data[i]!, independentOrigins, weight: independentOrigins, constant }];
  });
  if (tasks.some((task) => task.data.featureCount !== tasks[0]!.data.featureCount)) {
    throw new RangeError("expected samples with the same features for every asset");
  }
  const sum = tasks.reduce((total, { weight }) => total + weight, 0);
  return tasks.map((task) => ({ ...task, weight: task.weight / sum }));
}

/** Origins at least a horizon apart: overlapping ones see the same returns. `startTimes` ascend. */
export function countIndependent(startTimes: Float64Array, horizonSeconds: number): number {
  let count = 0;
  let end = -Infinity;
  for (const time of startTimes) {
    if (time < end) continue;
    count++;
    end = time + horizonSeconds;
  }
  return count;
}

/** The constant sigma with the least loss. Null without an observed move: no scale fits that. */
function constantSigma(data: PriceData, plan: PricePlan): Task["constant"] | null {
  const typical = meanMove(data.returns);
  if (!(typical > 0)) return null;
  const flat: PriceData = {
    ...data,
    featureCount: 0,
    logSeasonal: new Float64Array(data.logSeasonal.length),
  };
  const intercepts = new Float64Array(plan.knotCount);
  const [betas, logRatios] = [new Float64Array(0), new Float64Array(plan.ratioSeconds.length)];
  const { x, value } = minimise(
    ([logSigma], slope) => {
      const gradient = { intercepts: new Float64Array(plan.knotCount), betas, logRatios: logRatios.slice() };
      const loss = priceObjective(
        flat,
        plan,
        { intercepts: intercepts.fill(logSigma!), betas, logRatios },
        { gradient, factor: 1 / typical },
      );
      slope[0] = gradient.intercepts.reduce((sum, own) => sum + own, 0);
      return loss / typical;
    },
    Float64Array.of(Math.log(typical)),
    { maxIterations: 50, decreaseTolerance: DECREASE_TOLERANCE },
  );
  return { logSigma: x[0]!, loss: value * typical };
}

/** Mean |return| of the observed blocks. */
function meanMove(returns: Float64Array): number {
  let sum = 0;
  let count = 0;
  for (const x of returns) {
    if (Number.isNaN(x)) continue;
    sum += Math.abs(x);
    count++;
  }
  return sum / count;
}

/** The penalised objective; writes its gradient. */
function objectiveOf(
  tasks: readonly Task[],
  layout: Layout,
  { plan, ridges }: { plan: PricePlan; ridges: RidgeStrengths },
): (x: Float64Array, gradient: Float64Array) => number {
  return (x, gradient) => {
    gradient.fill(0);
    let total = 0;
    for (const [i, { samples, data, weight, constant }] of tasks.entries()) {
      const who = { assetClass: samples.assetClass, asset: layout.assets[i]! };
      const own = emptyVector(layout);
      const factor = weight / constant.loss;
      total += factor * priceObjective(data, plan, assemble(x, layout, who), { gradient: own, factor });
      scatter(own, layout, gradient, who);
    }
    return total + addRidges(tasks, layout, ridges, { x, gradient });
  };
}

/** Parameters of an earlier fit where it has them; else the best constant sigma, moved by the features' mean. */
function startOf(tasks: readonly Task[], layout: Layout, start: ScaleFit | undefined): Float64Array {
  const x = new Float64Array(layout.size);
  const { knots, features, ratios } = layout;
  for (const [name, shared] of layout.classes) {
    const known = start?.classes.get(name);
    const own = tasks.filter(({ samples }) => samples.assetClass === name);
    const level = own.reduce((sum, task) => sum + levelOf(task) / own.length, 0);
    for (let j = 0; j < knots; j++) x[shared + j] = known ? known.intercepts[j]! : level;
    for (let p = 0; p < ratios; p++) x[shared + knots + p] = known ? Math.log(known.varianceRatios[p]!.ratio) : 0;
    for (let i = 0; i < features * knots; i++) {
      x[layout.betas + i] = known ? known.betas[Math.floor(i / knots)]![i % knots]! : 1 / features;
    }
  }
  for (const [i, task] of tasks.entries()) {
    const { asset, assetClass } = task.samples;
    const [known, common] = [start?.assets.get(asset), start?.classes.get(assetClass)];
    const at = layout.assets[i]!;
    if (known && common) {
      for (let j = 0; j < knots; j++) x[at + j] = known.intercepts[j]! - common.intercepts[j]!;
      for (let k = 0; k < features; k++) x[at + knots + k] = known.betas[k]![0]! - common.betas[k]![0]!;
      for (let p = 0; p < ratios; p++) {
        x[at + knots + features + p] = Math.log(known.varianceRatios[p]!.ratio / common.varianceRatios[p]!.ratio);
      }
    } else {
      const shared = layout.classes.get(assetClass)!;
      for (let j = 0; j < knots; j++) x[at + j] = levelOf(task) - x[shared + j]!;
    }
  }
  return x;
}

/** The intercept under which an average origin has the best constant sigma. */
function levelOf({ data, constant }: Task): number {
  const meanOf = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  return constant.logSigma - meanOf(data.logSeasonal) - (data.featureCount > 0 ? meanOf(data.features) : 0);
}

function scalesOf(
  tasks: readonly Task[],
  layout: Layout,
  { plan, x }: { plan: PricePlan; x: Float64Array },
): Pick<ScaleFit, "assets" | "classes" | "loss"> {
  const relativeLoss = ({ data, constant }: Task, vector: ScaleVector): number =>
    priceObjective(data, plan, vector, {}) / constant.loss;
  const assets = new Map<AssetSymbol, AssetScale>();
  let loss = 0;
  for (const [i, task] of tasks.entries()) {
    const { asset, assetClass } = task.samples;
    const vector = assemble(x, layout, { assetClass, asset: layout.assets[i]! });
    const own = relativeLoss(task, vector);
    loss += task.weight * own;
    assets.set(asset, scaleOf(vector, plan, { origins: task.data.count, loss: own }));
  }
  const classes = new Map<AssetClass, AssetScale>();
  for (const assetClass of layout.classes.keys()) {
    const vector = assemble(x, layout, { assetClass, asset: null });
    const own = tasks.filter(({ samples }) => samples.assetClass === assetClass);
    const origins = own.reduce((sum, { data }) => sum + data.count, 0);
    const mean = own.reduce((sum, task) => sum + relativeLoss(task, vector) / own.length, 0);
    classes.set(assetClass, scaleOf(vector, plan, { origins, loss: mean }));
  }
  return { assets, classes, loss };
}

function scaleOf(vector: ScaleVector, plan: PricePlan, measured: { origins: number; loss: number }): AssetScale {
  const { knotCount, ratioSeconds } = plan;
  return {
    intercepts: [...vector.intercepts],
    betas: Array.from({ length: vector.betas.length / knotCount }, (_, k) => [
      ...vector.betas.subarray(k * knotCount, (k + 1) * knotCount),
    ]),
    varianceRatios: ratioSeconds.map((seconds, p) => ({ seconds, ratio: Math.exp(vector.logRatios[p]!) })),
    ...measured,
  };
}
