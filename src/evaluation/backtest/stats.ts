import { Random } from "../../math/random.ts";
import { quantile } from "../../scoring/leaderboard.ts";

/** How many blocks are drawn: as many as there are, this many times. */
export interface BootstrapOptions {
  readonly draws: number;
  readonly seed: string;
}

export interface Interval95 {
  readonly low: number;
  readonly high: number;
}

/** Below this number of blocks an interval would only look like one. */
export const MIN_BLOCKS = 5;

/**
 * 95 % percentile interval of a statistic under resampling of whole blocks with replacement (disjoint blocks, Carlstein
 * 1986). `statistic` gets the indices of the drawn blocks, as many as there are; a value that is not finite is left out.
 */
export function bootstrapInterval(
  blocks: number,
  statistic: (drawn: Uint32Array) => number,
  options: BootstrapOptions,
): Interval95 | null {
  if (blocks < MIN_BLOCKS) return null;
  const random = Random.fromSeed(options.seed);
  const drawn = new Uint32Array(blocks);
  const values: number[] = [];
  for (let draw = 0; draw < options.draws; draw++) {
    for (let i = 0; i < blocks; i++) drawn[i] = Math.floor(random.uniform() * blocks);
    const value = statistic(drawn);
    if (Number.isFinite(value)) values.push(value);
  }
  if (values.length === 0) return null;
  return { low: quantile(values, 0.025), high: quantile(values, 0.975) };
}

export interface DieboldMariano {
  readonly statistic: number;
  /** Two-sided, Student t with n - 1 degrees of freedom. */
  readonly pValue: number;
}

/**
 * Long-run variance of a stationary series with the Bartlett kernel (Newey & West 1987):
 * γ_0 + 2 Σ_{k=1..L} (1 - k/(L+1)) γ_k, γ_k = 1/n Σ (d_t - mean)(d_{t-k} - mean). Never negative.
 */
export function longRunVariance(series: readonly number[], lags: number): number {
  const n = series.length;
  const mean = series.reduce((sum, value) => sum + value, 0) / n;
  const autocovariance = (lag: number): number => {
    let sum = 0;
    for (let t = lag; t < n; t++) sum += (series[t]! - mean) * (series[t - lag]! - mean);
    return sum / n;
  };
  let variance = autocovariance(0);
  for (let lag = 1; lag <= lags; lag++) variance += 2 * (1 - lag / (lags + 1)) * autocovariance(lag);
  return variance;
}

/**
 * Diebold & Mariano (1995) of the loss differences d_1 … d_n in time order: mean(d) / sqrt(longRunVariance / n). Below
 * zero the first forecast is better. Null for fewer than three differences or without variation.
 */
export function dieboldMariano(differences: readonly number[], lags: number): DieboldMariano | null {
  const n = differences.length;
  if (n < 3) return null;
  const variance = longRunVariance(differences, Math.min(lags, n - 1));
  if (!(variance > 0)) return null;
  const statistic = differences.reduce((sum, value) => sum + value, 0) / n / Math.sqrt(variance / n);
  return { statistic, pValue: studentTwoSided(statistic, n - 1) };
}

/** The lags that overlapping horizons ask for, and at least Newey & West's rule 4 (n/100)^(2/9) (1994). */
export function hacLags(n: number, overlappingPrompts: number): number {
  return Math.min(Math.max(overlappingPrompts - 1, Math.floor(4 * (n / 100) ** (2 / 9))), Math.max(0, n - 1));
}

/** P(|T| >= |t|) of Student's t: the regularised incomplete beta function I_x(nu/2, 1/2) at x = nu / (nu + t²). */
export function studentTwoSided(t: number, nu: number): number {
  return incompleteBeta(nu / (nu + t * t), nu / 2, 0.5);
}

/** I_x(a, b) by Lentz's continued fraction (Numerical Recipes 6.4); relative error below 1e-10 here. */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x));
  // The fraction converges fast on the near side of the mean only.
  return x < (a + 1) / (a + b + 2) ? (front * betaFraction(x, a, b)) / a : 1 - (front * betaFraction(1 - x, b, a)) / b;
}

const MAX_TERMS = 10_000;
const TINY = 1e-300;

function betaFraction(x: number, a: number, b: number): number {
  const away = (value: number): number => (Math.abs(value) < TINY ? TINY : value);
  let c = 1;
  let d = 1 / away(1 - ((a + b) * x) / (a + 1));
  let result = d;
  for (let m = 1; m < MAX_TERMS; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / away(1 + even * d);
    c = away(1 + even / c);
    result *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / away(1 + odd * d);
    c = away(1 + odd / c);
    const factor = d * c;
    result *= factor;
    if (Math.abs(factor - 1) < 1e-14) break;
  }
  return result;
}

/** ln Γ(x) for x > 0: Stirling's series after moving x above 10. */
function logGamma(x: number): number {
  let shift = 0;
  let at = x;
  for (; at < 10; at++) shift += Math.log(at);
  const inverse = 1 / (at * at);
  const series = (1 / 12 - inverse * (1 / 360 - inverse * (1 / 1260 - inverse / 1680))) / at;
  return (at - 0.5) * Math.log(at) - at + 0.5 * Math.log(2 * Math.PI) + series - shift;
}
