import type { AssetClass } from "../../market/assets.ts";
import type { RidgeStrengths, ScaleSamples } from "./fit-types.ts";
import type { PricePlan } from "./fit-plan.ts";
import type { PriceData, ScaleVector } from "./price-objective.ts";

/** An asset's data with what does not change during a fit. */
export interface Task {
  readonly samples: ScaleSamples;
  readonly data: PriceData;
  readonly independentOrigins: number;
  /** Share in the objective: of all assets' independent origins. */
  readonly weight: number;
  /** Best constant log sigma of a step, and the loss it has. */
  readonly constant: { readonly logSigma: number; readonly loss: number };
}

/**
 * Where each parameter lies: per class intercepts and log ratios, the common betas, and per asset the deviations
 * of intercepts [knot], betas [feature] and log ratios.
 */
export interface Layout {
  readonly size: number;
  readonly knots: number;
  readonly features: number;
  readonly ratios: number;
  readonly classes: ReadonlyMap<AssetClass, number>;
  readonly betas: number;
  /** By task. */
  readonly assets: readonly number[];
}

export function layoutOf(tasks: readonly Task[], plan: PricePlan): Layout {
  const knots = plan.knotCount;
  const ratios = plan.ratioSeconds.length;
  const features = tasks[0]!.data.featureCount;
  let size = 0;
  const take = (length: number): number => (size += length) - length;
  const names = [...new Set(tasks.map(({ samples }) => samples.assetClass))];
  const classes = new Map(names.map((name) => [name, take(knots + ratios)]));
  const betas = take(features * knots);
  const assets = tasks.map(() => take(knots + features + ratios));
  return { size, knots, features, ratios, classes, betas, assets };
}

export function emptyVector({ knots, features, ratios }: Layout): ScaleVector {
  return {
    intercepts: new Float64Array(knots),
    betas: new Float64Array(features * knots),
    logRatios: new Float64Array(ratios),
  };
}

/** An asset's parameters; its class's for `asset` null. */
export function assemble(
  x: Float64Array,
  layout: Layout,
  who: { assetClass: AssetClass; asset: number | null },
): ScaleVector {
  const { knots, features, ratios } = layout;
  const vector = emptyVector(layout);
  const shared = layout.classes.get(who.assetClass)!;
  const own = (i: number): number => (who.asset === null ? 0 : x[who.asset + i]!);
  for (let j = 0; j < knots; j++) vector.intercepts[j] = x[shared + j]! + own(j);
  for (let k = 0; k < features; k++) {
    for (let j = 0; j < knots; j++) {
      vector.betas[k * knots + j] = x[layout.betas + k * knots + j]! + own(knots + k);
    }
  }
  for (let p = 0; p < ratios; p++) vector.logRatios[p] = x[shared + knots + p]! + own(knots + features + p);
  return vector;
}

/** The transpose of `assemble`: adds an asset's gradient to those of all parameters it came from. */
export function scatter(
  from: ScaleVector,
  layout: Layout,
  to: Float64Array,
  who: { assetClass: AssetClass; asset: number },
): void {
  const { knots, features, ratios } = layout;
  const shared = layout.classes.get(who.assetClass)!;
  const { asset } = who;
  for (let j = 0; j < knots; j++) {
    to[shared + j]! += from.intercepts[j]!;
    to[asset + j]! += from.intercepts[j]!;
  }
  for (let k = 0; k < features; k++) {
    for (let j = 0; j < knots; j++) {
      const slope = from.betas[k * knots + j]!;
      to[layout.betas + k * knots + j]! += slope;
      to[asset + knots + k]! += slope;
    }
  }
  for (let p = 0; p < ratios; p++) {
    to[shared + knots + p]! += from.logRatios[p]!;
    to[asset + knots + features + p]! += from.logRatios[p]!;
  }
}

export function addRidges(
  tasks: readonly Task[],
  layout: Layout,
  ridges: RidgeStrengths,
  at: { x: Float64Array; gradient: Float64Array },
): number {
  const { knots, features, ratios } = layout;
  const allOrigins = tasks.reduce((sum, { independentOrigins }) => sum + independentOrigins, 0);
  const smooth = ridges.smoothness / allOrigins;
  let penalty = 0;
  for (const [i, { independentOrigins, weight }] of tasks.entries()) {
    const own = layout.assets[i]!;
    // In an asset's own balance of loss and ridge its weight in the objective cancels.
    const each = weight / independentOrigins;
    penalty += ridge(at, { from: own, count: knots, strength: (each * ridges.intercept) / knots });
    penalty += ridge(at, { from: own + knots, count: features, strength: each * ridges.beta });
    penalty += ridge(at, { from: own + knots + features, count: ratios, strength: each * ridges.ratio });
  }
  for (const shared of layout.classes.values()) {
    penalty += ridge(at, { from: shared + knots, count: ratios, strength: ridges.ratio / allOrigins });
    penalty += differenceRidge(at, { from: shared, count: knots, strength: smooth });
  }
  for (let k = 0; k < features; k++) {
    penalty += differenceRidge(at, { from: layout.betas + k * knots, count: knots, strength: smooth });
  }
  return penalty;
}

interface Span {
  readonly from: number;
  readonly count: number;
  readonly strength: number;
}

/** strength · Σ x² over the span. */
function ridge({ x, gradient }: { x: Float64Array; gradient: Float64Array }, { from, count, strength }: Span): number {
  let sum = 0;
  for (let i = from; i < from + count; i++) {
    sum += x[i]! * x[i]!;
    gradient[i]! += 2 * strength * x[i]!;
  }
  return strength * sum;
}

/** strength · Σ (difference of neighbours)² over the span. */
function differenceRidge(
  { x, gradient }: { x: Float64Array; gradient: Float64Array },
  { from, count, strength }: Span,
): number {
  let sum = 0;
  for (let i = from + 1; i < from + count; i++) {
    const difference = x[i]! - x[i - 1]!;
    sum += difference * difference;
    gradient[i]! += 2 * strength * difference;
    gradient[i - 1]! -= 2 * strength * difference;
  }
  return strength * sum;
}
