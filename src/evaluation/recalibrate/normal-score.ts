/**
 * Quantile of the standard normal, 0 for 1/2 and ±Infinity for 0 and 1. Acklam's rational approximations (2003), relative
 * error below 1.2e-9.
 */
export function normalQuantile(p: number): number {
  if (!(p >= 0 && p <= 1)) throw new RangeError(`expected a probability, was ${p}`);
  if (p === 0 || p === 1) return p === 0 ? -Infinity : Infinity;
  if (p > 1 - TAIL) return -normalQuantile(1 - p);
  if (p < TAIL) {
    const q = Math.sqrt(-2 * Math.log(p));
    return polynomial(C, q) / (q * polynomial(D, q) + 1);
  }
  const q = p - 0.5;
  const r = q * q;
  return (q * polynomial(A, r)) / (r * polynomial(B, r) + 1);
}

const TAIL = 0.02425;
const A = [
  -3.969683028665376e1, 2.209460984245205e2, -2.759285104469687e2, 1.38357751867269e2, -3.066479806614716e1,
  2.506628277459239,
];
const B = [-5.447609879822406e1, 1.615858368580409e2, -1.556989798598866e2, 6.680131188771972e1, -1.328068155288572e1];
const C = [
  -7.784894002430293e-3, -3.223964580411365e-1, -2.400758277161838, -2.549732539343734, 4.374664141464968,
  2.938163982698783,
];
const D = [7.784695709041462e-3, 3.224671290700398e-1, 2.445134137142996, 3.754408661907416];

/** Coefficients from the highest power down. */
function polynomial(coefficients: readonly number[], x: number): number {
  return coefficients.reduce((sum, coefficient) => sum * x + coefficient, 0);
}

/** E|z| of a standard normal: sqrt(2/π). */
export const MEAN_ABSOLUTE_NORMAL = Math.sqrt(2 / Math.PI);

/** ∫ of |z| from the median up to the quantile of p: ∫ z φ(z) dz = -φ(z). Odd about 1/2. */
function integralFromMedian(p: number): number {
  const z = normalQuantile(p);
  return (Math.sign(z) * (1 - Math.exp((-z * z) / 2))) / Math.sqrt(2 * Math.PI);
}

/**
 * Mean |normal score| of an observation whose probability integral transform is only known to lie between `from` and
 * `to`: among n members, (#{below})/(n+1) and (#{below} + #{equal} + 1)/(n+1). The score of the mid-rank would be too
 * small where many members are equal (a frozen feed) or the ensemble is small; this mean is exactly
 * `MEAN_ABSOLUTE_NORMAL` in expectation for every calibrated ensemble.
 */
export function meanAbsoluteScore(from: number, to: number): number {
  return (integralFromMedian(to) - integralFromMedian(from)) / (to - from);
}
