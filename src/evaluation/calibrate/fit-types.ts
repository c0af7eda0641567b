import type { LatentVolatility, VarianceRatio } from "../../engines/path-model.ts";
import type { AssetClass, AssetSymbol } from "../../market/assets.ts";

/**
 * The scale that is fitted. For asset a, origin o and step i, whose lead time is i times the step,
 *
 *     log sigma_{o,i} = Σ_j B_ij · (c_{a,j} + Σ_k beta_{a,k,j} · x_{o,k}) + s_{o,i},
 *
 * B linear between the knots of lead time and constant beyond them. The variance of a block's return is R_a(length) · Σ sigma².
 */
export interface ScaleSamples {
  readonly asset: AssetSymbol;
  readonly assetClass: AssetClass;
  readonly horizonSeconds: number;
  readonly stepSeconds: number;
  readonly featureCount: number;
  /** Origins. */
  readonly count: number;
  /** Unix seconds of point 0, ascending. */
  readonly startTimes: Float64Array;
  /** x: logs of scales relative to a reference, of mean about zero, row-major [origin, feature]. */
  readonly features: Float64Array;
  /**
   * s, row-major [origin, step]. With the log of the asset's own reference in it the intercepts of assets compare, which is what
   * pooling takes for granted.
   */
  readonly logSeasonal: Float64Array;
  /** Realised log prices, row-major [origin, point], numSteps + 1 points; NaN where none was observed. */
  readonly logPrices: Float64Array;
}

/** Law of the standardised shocks (see path-model.ts). */
export interface Shape {
  readonly nu: number;
  readonly latent: LatentVolatility;
}

/**
 * Strengths of the ridges, as pseudo-origins: with n independent origins a squared deviation costs strength / n in units of
 * the relative loss, whose own curvature in log sigma is about 1/2 (a sigma wrong by ratio r costs .25 (r - 1)²).
 */
export interface RidgeStrengths {
  /** An asset's intercepts against its class's. */
  readonly intercept: number;
  /** An asset's betas against the common ones. */
  readonly beta: number;
  /** Log variance ratios: an asset's against its class's, and the class's against 0. */
  readonly ratio: number;
  /** Betas, and a class's intercepts, of neighbouring knots against each other. */
  readonly smoothness: number;
}

export interface FitOptions {
  /** Lead times of the knots, ascending. */
  readonly knotSeconds: readonly number[];
  /** Lengths at which variance ratios are fitted: nested multiples of the step, ascending. */
  readonly ratioSeconds: readonly number[];
  readonly shape: Shape;
  readonly seed: number;
  readonly ridges?: RidgeStrengths;
  readonly maxIterations?: number;
  /** A fit of the same assets, features and knots to start from. */
  readonly start?: ScaleFit;
  readonly onProgress?: (iteration: number, loss: number) => void;
}

export interface AssetScale {
  /** c, per knot. */
  readonly intercepts: readonly number[];
  /** [feature][knot]. */
  readonly betas: readonly (readonly number[])[];
  readonly varianceRatios: readonly VarianceRatio[];
  /** Origins it was fitted to; of a class, those of its assets together. */
  readonly origins: number;
  /** Mean loss over that of the best constant sigma of the same shape; of a class, its assets' mean when all of them use it. */
  readonly loss: number;
}

export interface ScaleFit {
  /** Assets without a single usable origin are left out: their class's scale is theirs. */
  readonly assets: ReadonlyMap<AssetSymbol, AssetScale>;
  readonly classes: ReadonlyMap<AssetClass, AssetScale>;
  /** Weighted mean of the assets' relative losses, without ridges. */
  readonly loss: number;
  readonly iterations: number;
  /** Origins that were left out: a feature or factor that is not finite, or nothing scored was observed. */
  readonly droppedOrigins: ReadonlyMap<AssetSymbol, number>;
}

export interface ShapeGrid {
  readonly nu: readonly number[];
  readonly tau: readonly number[];
  readonly halfLifeSeconds: readonly number[];
}

export interface ShapeFitOptions extends FitOptions {
  /** `shape` is where the search starts, and what is returned from too few origins. */
  readonly grid: ShapeGrid;
  /** Independent origins (a horizon apart) of all assets together, below which nothing is searched. */
  readonly minOrigins: number;
  /** Origins of an asset that are used at most, evenly spread. */
  readonly maxOrigins?: number;
  /** Of these, how many are simulated for the volatility CRPS at most. */
  readonly maxSimulatedOrigins?: number;
}

export interface ShapeLoss {
  readonly shape: Shape;
  /** Means over assets, each relative to its total under the first shape. */
  readonly priceLoss: number;
  readonly volatilityLoss: number;
  readonly total: number;
}

export interface ShapeFit {
  readonly shape: Shape;
  /** Every shape that was tried, in order. */
  readonly losses: readonly ShapeLoss[];
  /** Why the given shape was returned unsearched; null where it was searched. */
  readonly fallback: string | null;
}
