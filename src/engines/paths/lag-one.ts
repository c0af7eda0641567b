/**
 * Lag-1 autocorrelation of a path's returns: the MA(1) noise of prices that bounce between bid and ask, or that a thin feed
 * rounds (Roll, J. Finance 1984), and with it the variance ratio of two steps, VR(2) = 1 + rho(1) (Lo & MacKinlay 1988).
 *
 * Uncorrelated steps x with variances v fall into blocks of B steps with sums X and S. Their deviations d_t = x_t - w_t X,
 * w_t = v_t / S, are uncorrelated with every block's sum; an MA(1) of them, centred again,
 *
 *     e_t = f_t - w_t Σ_block f,   f_t = d_t + theta · sqrt(v_t / v_{t-1}) · d_{t-1},
 *
 * stays so, and x_t = w_t X + e_t leaves every sum as it was. theta is what gives adjacent steps, on average and with equal
 * variances, the wanted correlation once the variance ratios have scaled sums and deviations (see variance-ratio.ts).
 */
const MAX_THETA = 0.9;
const BISECTIONS = 40;

/** What the finest blocks will be scaled to. */
export interface BlockTargets {
  /** Steps of a block. */
  readonly steps: number;
  /** Variance ratio of one block. */
  readonly ratio: number;
  /** Covariance of adjacent blocks' returns where each step's variance is 1. */
  readonly neighbours: number;
}

/** The filter of a whole path. */
export interface LagOneFilter {
  /** Σ_t Var(e_t) / S of each block; (1 - Σ w²) without a filter. */
  readonly deviations: Float64Array;
  /** Filters returns, row-major [step, path], in place. `zeros`: steps of exactly zero stay so, and weigh nothing. */
  apply(returns: Float64Array, choice: { pathCount: number; zeros: boolean }): void;
}

export function lagOneFilter(
  variances: Float64Array,
  {
    autocorrelation,
    zeroShare,
    ...targets
  }: BlockTargets & { readonly autocorrelation: number; readonly zeroShare: number },
): LagOneFilter {
  const theta = thetaFor(autocorrelation, targets);
  const { steps } = targets;
  // Before a path's first step, and after a step that cannot move, there is nothing to echo.
  const echoes = variances.map((own, t) => (variances[t - 1]! > 0 ? theta * Math.sqrt(own / variances[t - 1]!) : 0));
  const heard = echoes.map((echo) => echo * Math.sqrt(1 - zeroShare));
  const deviations = new Float64Array(Math.ceil(variances.length / steps));
  let before = 0;
  for (let block = 0; block < deviations.length; block++) {
    const [from, to] = [block * steps, Math.min((block + 1) * steps, variances.length)];
    const law = blockLaw(variances.subarray(from, to), heard.subarray(from, to), before);
    deviations[block] = law.whole > 0 ? law.own.reduce((sum, value) => sum + value, 0) / law.whole : 1;
    before = law.lastDeviation;
  }
  return {
    deviations,
    apply: (returns, { pathCount, zeros }) => {
      const scratch = createScratch(pathCount);
      for (let from = 0; from < variances.length; from += steps) {
        const span = { from, to: Math.min(from + steps, variances.length), zeros };
        filterBlock(returns, { variances, echoes }, span, scratch);
      }
    },
  };
}

interface BlockLaw {
  readonly whole: number;
  /** Var(e_t), and Cov(e_t, e_{t+1}) inside the block. */
  readonly own: Float64Array;
  readonly adjacent: Float64Array;
  /** Var of the last d, and Cov of it with the last e: what the next block hears. */
  readonly lastDeviation: number;
  readonly lastCovariance: number;
  /** How much of the d before the block the first e holds. */
  readonly firstEcho: number;
}

/** Second moments of a block's e. `before`: the variance of the last d before it. */
function blockLaw(variances: Float64Array, echoes: Float64Array, before: number): BlockLaw {
  const count = variances.length;
  const whole = variances.reduce((sum, value) => sum + value, 0);
  // e_t = heard_t · d_before + Σ_j weights_t[j] · d_j; Σ f has 1 + echo of the next step on each d.
  const sums = variances.map((_, j) => 1 + (echoes[j + 1] ?? 0));
  const rows = Array.from(variances, (own, t) => {
    const share = whole > 0 ? own / whole : 0;
    const weights = sums.map((sum) => -share * sum);
    weights[t]! += 1;
    if (t > 0) weights[t - 1]! += echoes[t]!;
    return { weights, heard: (t === 0 ? echoes[0]! : 0) - share * echoes[0]! };
  });
  // Cov(d_i, d_j) = v_i [i = j] - v_i v_j / S.
  const covariance = (a: Float64Array, b: Float64Array): number => {
    let [same, first, second] = [0, 0, 0];
    for (let j = 0; j < count; j++) {
      same += a[j]! * b[j]! * variances[j]!;
      first += a[j]! * variances[j]!;
      second += b[j]! * variances[j]!;
    }
    return whole > 0 ? same - (first * second) / whole : 0;
  };
  const between = (s: number, t: number): number =>
    covariance(rows[s]!.weights, rows[t]!.weights) + rows[s]!.heard * rows[t]!.heard * before;
  const last = new Float64Array(count);
  last[count - 1] = 1;
  return {
    whole,
    own: variances.map((_, t) => between(t, t)),
    adjacent: variances.map((_, t) => (t + 1 < count ? between(t, t + 1) : 0)),
    lastDeviation: covariance(last, last),
    lastCovariance: covariance(rows[count - 1]!.weights, last),
    firstEcho: rows[0]!.heard,
  };
}

/** Mean correlation of adjacent steps of unit variance; with theta 0 that which the variance ratios alone give them. */
export function correlationOf(theta: number, { steps, ratio, neighbours }: BlockTargets): number {
  const law = blockLaw(new Float64Array(steps).fill(1), new Float64Array(steps).fill(theta), 1 - 1 / steps);
  const deviations = law.own.reduce((sum, value) => sum + value, 0);
  const gain = Math.max(steps - ratio, 0) / deviations; // squared: the steps' variances stay
  const inside = law.adjacent.reduce((sum, value) => sum + value, 0);
  const across = law.firstEcho * law.lastCovariance;
  return (((steps - 1) * ratio) / steps + neighbours / (steps * steps) + gain * (inside + across)) / steps;
}

/** Rises with theta; a correlation out of reach gets the nearest. */
function thetaFor(autocorrelation: number, targets: BlockTargets): number {
  let [low, high] = [-MAX_THETA, MAX_THETA];
  for (let i = 0; i < BISECTIONS; i++) {
    const middle = (low + high) / 2;
    if (correlationOf(middle, targets) < autocorrelation) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** Per path. */
interface Scratch {
  readonly sums: Float64Array;
  /** Variance of the block's steps that traded. */
  readonly wholes: Float64Array;
  /** The last d. */
  readonly previous: Float64Array;
  /** Σ f of the block. */
  readonly filtered: Float64Array;
}

function createScratch(pathCount: number): Scratch {
  const zeros = (): Float64Array => new Float64Array(pathCount);
  return { sums: zeros(), wholes: zeros(), previous: zeros(), filtered: zeros() };
}

function filterBlock(
  returns: Float64Array,
  { variances, echoes }: { readonly variances: Float64Array; readonly echoes: Float64Array },
  { from, to, zeros }: { readonly from: number; readonly to: number; readonly zeros: boolean },
  { sums, wholes, previous, filtered }: Scratch,
): void {
  const pathCount = sums.length;
  for (const each of [sums, wholes, filtered]) each.fill(0);
  for (let step = from; step < to; step++) {
    const row = step * pathCount;
    const own = variances[step]!;
    for (let path = 0; path < pathCount; path++) {
      const x = returns[row + path]!;
      sums[path]! += x;
      if (!zeros || x !== 0) wholes[path]! += own;
    }
  }
  for (let step = from; step < to; step++) {
    const row = step * pathCount;
    const own = variances[step]!;
    const echo = echoes[step]!;
    if (own === 0) previous.fill(0);
    else {
      for (let path = 0; path < pathCount; path++) {
        const x = returns[row + path]!;
        if (zeros && x === 0) {
          previous[path] = 0;
          continue;
        }
        const deviation = x - (own / wholes[path]!) * sums[path]!;
        const value = deviation + echo * previous[path]!;
        previous[path] = deviation;
        filtered[path]! += value;
        // Zero is what did not trade.
        returns[row + path] = zeros && value === 0 ? Number.MIN_VALUE : value;
      }
    }
  }
  for (let path = 0; path < pathCount; path++) sums[path] = (sums[path]! - filtered[path]!) / wholes[path]!;
  for (let step = from; step < to; step++) {
    const row = step * pathCount;
    const own = variances[step]!;
    if (own === 0) continue;
    for (let path = 0; path < pathCount; path++) {
      if (!zeros || returns[row + path] !== 0) returns[row + path]! += own * sums[path]!;
    }
  }
}
