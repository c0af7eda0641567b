/**
 * Counts of |x| of a distribution symmetric about zero, from which quantiles are read. x in units of about its standard
 * deviation. The buckets are equal in u = |x| / sqrt(2 + x²), the distribution function of |t(2)|: below .0002 wide about
 * zero, .01 at x = 6. Counting costs a tenth of a sort, and takes the same memory for any number of values.
 */
const BUCKETS = 16_384;
const SHAPE = 2;

export interface QuantilePool {
  readonly counts: Uint32Array;
  /** How many values were exactly zero; they are in no bucket. */
  zeros: number;
}

export function createQuantilePool(): QuantilePool {
  return { counts: new Uint32Array(BUCKETS), zeros: 0 };
}

/** Adds every value times `scale`. Values that are not finite are a bug of the caller. */
export function addToPool(pool: QuantilePool, values: Float64Array, scale: number): void {
  const { counts } = pool;
  let zeros = 0;
  for (let i = 0; i < values.length; i++) {
    const x = Math.abs(values[i]! * scale);
    if (x === 0) zeros++;
    else counts[Math.min((BUCKETS * x) / Math.sqrt(SHAPE + x * x), BUCKETS - 1) | 0]!++;
  }
  pool.zeros += zeros;
}

/** A full pool together with its mirror image, as a distribution. */
export interface PoolLaw {
  readonly zeros: number;
  /** With EMPTY of each bucket. */
  readonly total: number;
  /** Values other than zero below each bucket's lower end, strictly ascending; one more than there are buckets. */
  readonly cumulative: Float64Array;
}

/** What an empty bucket counts as, so that each probability has one quantile: a hundredth of a value in all of them together. */
const EMPTY = 1e-6;

export function lawOf({ counts, zeros }: QuantilePool): PoolLaw {
  const cumulative = new Float64Array(BUCKETS + 1);
  for (let bucket = 0; bucket < BUCKETS; bucket++)
    cumulative[bucket + 1] = cumulative[bucket]! + counts[bucket]! + EMPTY;
  return { zeros, total: zeros + cumulative[BUCKETS]!, cumulative };
}

/** P(X <= x); 1/2 inside the atom at zero. */
export function poolProbability({ zeros, total, cumulative }: PoolLaw, x: number): number {
  if (x === 0) return 0.5;
  const place = Math.min((BUCKETS * Math.abs(x)) / Math.sqrt(SHAPE + x * x), BUCKETS);
  const bucket = Math.min(Math.floor(place), BUCKETS - 1);
  const [from, to] = [cumulative[bucket]!, cumulative[bucket + 1]!];
  const inside = zeros + from + (place - bucket) * (to - from);
  return 0.5 + (0.5 * Math.sign(x) * inside) / total;
}

/** The inverse: exactly zero inside the atom at zero. */
export function poolQuantile({ zeros, total, cumulative }: PoolLaw, probability: number): number {
  // P(|X| <= x) = 2 P(X <= x) - 1.
  const wanted = Math.abs(2 * probability - 1) * total - zeros;
  if (wanted <= 0) return 0;
  let [bucket, above] = [0, BUCKETS - 1];
  while (bucket < above) {
    const middle = (bucket + above) >> 1;
    if (cumulative[middle + 1]! < wanted) bucket = middle + 1;
    else above = middle;
  }
  const [from, to] = [cumulative[bucket]!, cumulative[bucket + 1]!];
  const inside = Math.min((wanted - from) / (to - from), 1);
  const u = Math.min((bucket + inside) / BUCKETS, 1 - 0.5 / BUCKETS);
  return Math.sign(probability - 0.5) * Math.sqrt((SHAPE * u * u) / (1 - u * u));
}

/**
 * The (i - 1/2) / n quantiles, i = 1 … n, ascending: the n points whose empirical distribution has the least expected
 * CRPS. Exactly antisymmetric.
 */
export function poolQuantiles(law: PoolLaw, n: number): Float64Array {
  const quantiles = new Float64Array(n);
  for (let i = Math.floor(n / 2); i < n; i++) {
    quantiles[i] = poolQuantile(law, (i + 0.5) / n);
    quantiles[n - 1 - i] = -quantiles[i]!;
  }
  return quantiles;
}

/**
 * Where each of a few paths (ascending) stands when every n-th of the distribution holds one of them: at (i - 1 + F) / n,
 * F the probability that the i-th of n independent paths lies below it. F is uniform, so that the paths together keep the law
 * that they were drawn from; a single one keeps its very value. Values of a return that cannot move (NaN) stay zero.
 */
export function stratifiedQuantiles(law: PoolLaw, sorted: Float64Array): Float64Array {
  const n = sorted.length;
  return sorted.map((value, rank) => {
    if (Number.isNaN(value)) return 0;
    return poolQuantile(law, (rank + orderProbability(poolProbability(law, value), { rank, n })) / n);
  });
}

/** P(at least rank + 1 of n lie below), each with probability p: the distribution function of an order statistic. */
function orderProbability(p: number, { rank, n }: { rank: number; n: number }): number {
  // The sum starts at (1 - p)^n, which must not vanish.
  if (p > 0.5) return 1 - orderProbability(1 - p, { rank: n - 1 - rank, n });
  let term = (1 - p) ** n;
  let below = 0;
  for (let k = 0; k <= rank; k++) {
    below += term;
    term *= ((n - k) / (k + 1)) * (p / (1 - p));
  }
  return Math.max(1 - below, 0);
}
