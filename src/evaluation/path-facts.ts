/** What ensembles of prices have in common with markets, or not. */
export interface PathFacts {
  /** Every price is a positive finite number. */
  readonly isSound: boolean;
  /** Mean over the paths of the log return from start to end, beyond what it is meant to be, in its standard errors. */
  readonly meanZ: number;
  /**
   * Autocorrelation at lag one of squared returns (each step's returns over their root mean square), and its distance from zero
   * in standard errors over the paths.
   */
  readonly clustering: number;
  readonly clusteringZ: number;
  /** Kurtosis of returns (3: Gaussian), each step's over their root mean square, and its distance from 3 likewise. */
  readonly kurtosis: number;
  readonly kurtosisZ: number;
}

/** `paths`: prices, row-major [path, point], with at least two paths of three points; `centre`: log return that they are meant to have. */
export function factsOf(paths: Float64Array, pathCount: number, centre = 0): PathFacts {
  const points = paths.length / pathCount;
  const steps = points - 1;
  const isSound = paths.every((price) => price > 0 && Number.isFinite(price));
  const squares = new Float64Array(pathCount * steps);
  for (let path = 0; path < pathCount; path++) {
    for (let step = 0; step < steps; step++) {
      const at = path * points + step;
      squares[path * steps + step] = Math.log(paths[at + 1]! / paths[at]!) ** 2;
    }
  }
  for (let step = 0; step < steps; step++) {
    let sum = 0;
    for (let path = 0; path < pathCount; path++) sum += squares[path * steps + step]!;
    // A step at which no path moves tells nothing.
    for (let path = 0; path < pathCount; path++) squares[path * steps + step]! *= sum > 0 ? pathCount / sum : 1;
  }
  const perPath = (value: (row: Float64Array) => number): Float64Array =>
    Float64Array.from({ length: pathCount }, (_, path) => value(squares.subarray(path * steps, (path + 1) * steps)));
  const fourth = summary(perPath((row) => row.reduce((sum, square) => sum + square * square, 0) / steps));
  const product = summary(perPath((row) => laggedProduct(row) / (steps - 1)));
  const ends = Float64Array.from({ length: pathCount }, (_, path) =>
    Math.log(paths[(path + 1) * points - 1]! / paths[path * points]!),
  );
  const end = summary(ends);
  return {
    isSound,
    meanZ: (end.mean - centre) / end.standardError,
    clustering: product.mean / (fourth.mean - 1),
    clusteringZ: product.mean / product.standardError,
    kurtosis: fourth.mean,
    kurtosisZ: (fourth.mean - 3) / fourth.standardError,
  };
}

/** Σ (square_i - 1)(square_{i+1} - 1): squares have the mean one. */
function laggedProduct(squares: Float64Array): number {
  let sum = 0;
  for (let i = 1; i < squares.length; i++) sum += (squares[i]! - 1) * (squares[i - 1]! - 1);
  return sum;
}

function summary(values: Float64Array): { readonly mean: number; readonly standardError: number } {
  const n = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1);
  return { mean, standardError: Math.sqrt(variance / n) };
}
