/**
 * The distribution that every engine's paths are drawn from: what an engine's `prepare` estimates and a recording keeps.
 * Plain data. With start price S and steps i = 1 … n,
 *
 *     S_i = S · exp(Σ_{j≤i} (c_j + r_j)),   r_j = sigma_j · exp(h_j - tau²) · z_j,
 *
 * z_j Student-t(nu) of unit variance, and h_j a stationary Gaussian AR(1) over time with standard deviation tau, so that
 * volatility is uncertain across paths and clusters inside them; exp(-tau²) keeps the variance of r_j at sigma_j².
 */
export interface PathModel {
  readonly anchorPrice: number;
  /** Standard deviation of each step's log return, before the variance ratios; numSteps values. */
  readonly stepSigmas: readonly number[];
  /** c_j, the log drift of each step, numSteps values; absent: none, and medians stay at the anchor price. */
  readonly centre?: readonly number[] | undefined;
  /** Degrees of freedom of the shocks, above 2. */
  readonly nu: number;
  readonly latent: LatentVolatility;
  /**
   * Variance of a block's return over the sum of its steps' variances, at nested block lengths (each divides the next),
   * ascending; lengths left out follow from the others. Empty: uncorrelated returns.
   */
  readonly varianceRatios: readonly VarianceRatio[];
  /**
   * Of adjacent steps' returns (MA(1) noise), above -1/2 and below 1/2; the variance ratio of two steps is 1 + this. Absent:
   * that follows from `varianceRatios`.
   */
  readonly lagOneAutocorrelation?: number | undefined;
  /** Probability that a step's return is exactly zero (no trade, frozen feed), 0 to below 1; the others carry its variance. */
  readonly zeroShare: number;
  /** Whether the ensemble is rank-matched (see rank-match.ts). */
  readonly rankMatched: boolean;
}

export interface LatentVolatility {
  /** Standard deviation of log-volatility; 0 switches it off. */
  readonly tau: number;
  /** Time in which its autocorrelation halves, seconds. */
  readonly halfLifeSeconds: number;
}

export interface VarianceRatio {
  readonly seconds: number;
  readonly ratio: number;
}
