import type { PathModel, VarianceRatio } from "../path-model.ts";
import { correlationOf, lagOneFilter, type BlockTargets, type LagOneFilter } from "./lag-one.ts";
import type { StepGrid } from "./returns.ts";

/**
 * A component of a level never falls below this share of its uncorrelated variance: ratios that climb faster than the
 * blocks grow (1.9 over two steps) would ask for a negative one. The ratios of that level are then not met.
 */
const MIN_COMPONENT = 0.05;

/** Blocks of one level: steps (level 0), then ever longer blocks, the last of each possibly cut off by the horizon. */
interface Level {
  readonly blockSteps: number;
  readonly blockCount: number;
  /** Variance of each block if its steps were uncorrelated, and its share of the coarser block's. */
  readonly variances: Float64Array;
  readonly shares: Float64Array;
  /** What the deviations of each block's parts are multiplied by; unused at level 0. */
  readonly gains: Float64Array;
}

/** Changes returns, row-major [step, path], in place. */
export type ApplyRatios = (returns: Float64Array, pathCount: number) => void;

/** The block lengths in steps, with the step itself in front. */
function ratioCurve(ratios: readonly VarianceRatio[], stepSeconds: number): { steps: number; ratio: number }[] {
  const curve = [{ steps: 1, ratio: 1 }];
  for (const { seconds, ratio } of ratios) {
    const steps = seconds / stepSeconds;
    const shorter = curve[curve.length - 1]!.steps;
    if (!(steps > shorter && steps % shorter === 0)) {
      throw new RangeError(
        `expected variance ratios at nested multiples of ${stepSeconds} s, ascending, was ${seconds} s after ${shorter * stepSeconds} s`,
      );
    }
    if (!(ratio > 0 && Number.isFinite(ratio))) throw new RangeError(`expected a variance ratio above 0, was ${ratio}`);
    curve.push({ steps, ratio });
  }
  return curve;
}

/** Ratio of a block of any length up to the longest: linear in the logarithm of the length. */
export function ratioAt(curve: readonly { steps: number; ratio: number }[], steps: number): number {
  const above = curve.findIndex((point) => point.steps >= steps);
  const right = curve[above]!;
  if (right.steps === steps) return right.ratio;
  const left = curve[above - 1]!;
  return left.ratio + ((right.ratio - left.ratio) * Math.log(steps / left.steps)) / Math.log(right.steps / left.steps);
}

/** The ratio of a return over `seconds`: 1 up to the step, constant after the longest listed length. Lengths ascending. */
export function varianceRatioAt(ratios: readonly VarianceRatio[], seconds: number, stepSeconds: number): number {
  const curve = [
    { steps: 1, ratio: 1 },
    ...ratios.map((one) => ({ steps: one.seconds / stepSeconds, ratio: one.ratio })),
  ];
  return ratioAt(curve, Math.min(Math.max(seconds / stepSeconds, 1), curve.at(-1)!.steps));
}

function buildLevels(
  curve: readonly { steps: number; ratio: number }[],
  variances: Float64Array,
  filter: LagOneFilter | null,
): Level[] {
  const stepCount = variances.length;
  const levels: Level[] = [];
  for (const { steps: blockSteps } of curve) {
    const blockCount = Math.ceil(stepCount / blockSteps);
    const sums = new Float64Array(blockCount);
    for (let step = 0; step < stepCount; step++) sums[Math.floor(step / blockSteps)]! += variances[step]!;
    const zeros = (): Float64Array => new Float64Array(blockCount);
    levels.push({ blockSteps, blockCount, variances: sums, shares: zeros(), gains: zeros() });
  }
  for (let index = 1; index < levels.length; index++) linkLevels(curve, levels[index - 1]!, levels[index]!, stepCount);
  if (filter !== null) rescaleSteps(levels[1]!, filter, { curve, shares: levels[0]!.shares, stepCount });
  return levels;
}

/** Shares of the finer level's blocks, and gains of the coarser level's. */
function linkLevels(
  curve: readonly { steps: number; ratio: number }[],
  finer: Level,
  coarser: Level,
  stepCount: number,
): void {
  const concentration = new Float64Array(coarser.blockCount);
  const fineRatio = new Float64Array(coarser.blockCount);
  for (let block = 0; block < finer.blockCount; block++) {
    const parent = Math.floor((block * finer.blockSteps) / coarser.blockSteps);
    const whole = coarser.variances[parent]!;
    const share = whole > 0 ? finer.variances[block]! / whole : 0;
    finer.shares[block] = share;
    concentration[parent]! += share * share;
    fineRatio[parent]! += share * ratioAt(curve, lengthOf(finer, block, stepCount));
  }
  for (let block = 0; block < coarser.blockCount; block++) {
    const q = concentration[block]!;
    const ratio = ratioAt(curve, lengthOf(coarser, block, stepCount));
    // A block with one part has no deviations.
    const component = q < 1 ? (fineRatio[block]! - q * ratio) / (1 - q) : 1;
    coarser.gains[block] = Math.sqrt(Math.max(component, MIN_COMPONENT));
  }
}

/** Gains of the finest blocks, whose steps' deviations the filter has changed. */
function rescaleSteps(
  level: Level,
  { deviations }: LagOneFilter,
  work: { curve: readonly { steps: number; ratio: number }[]; shares: Float64Array; stepCount: number },
): void {
  const concentration = new Float64Array(level.blockCount);
  work.shares.forEach((share, step) => (concentration[Math.floor(step / level.blockSteps)]! += share * share));
  for (let block = 0; block < level.blockCount; block++) {
    const ratio = ratioAt(work.curve, lengthOf(level, block, work.stepCount));
    const deviation = deviations[block]!;
    const component = deviation > 0 ? (1 - concentration[block]! * ratio) / deviation : 1;
    level.gains[block] = Math.sqrt(Math.max(component, MIN_COMPONENT));
  }
}

function lengthOf({ blockSteps }: Level, block: number, stepCount: number): number {
  return Math.min(blockSteps, stepCount - block * blockSteps);
}

/**
 * Gives blocks of returns the variance ratios of the model, or null where it has none.
 *
 * Uncorrelated steps x with variances s² split, level by level, into parts that are uncorrelated with each other: a
 * block's return X_b is its share w_b = S_b / S_p of its parent's X_p (S: sums of s²), plus a deviation d_b. With
 * Y the result and R_k the ratio of level k,
 *
 *     Y_b = w_b · Y_p + a_p · d_b,   a_p² = (R_k - q · R_{k+1}) / (1 - q),   q = Σ_b w_b²,
 *
 * from Y = sqrt(R) · X at the longest length down to the steps, where R_0 = 1. The variances of the blocks of one parent
 * then sum to R_k · S_p, exactly, whatever the sigmas and the latent volatility (of which the returns are independent in
 * sign). A single block has R_k + (R_{k+1} - R_k) · (w_b - q) / (1 - q) in place of R_k: exact for equal sigmas, within .01
 * of R for sigmas that double inside a parent at the ratios of real markets. Blocks that the horizon cuts off get the
 * ratio of their length.
 *
 * Inside the finest blocks all pairs of steps have the same correlation, unless the model names that of adjacent ones
 * (lag-one.ts).
 *
 * Steps that did not trade (zeroShare) stay exactly zero: shares are then those of the path's own trading steps, and the
 * gains those of the model, which are approximate there.
 */
export function varianceRatioStage(model: PathModel, grid: StepGrid): ApplyRatios | null {
  const stepCount = grid.variances.length;
  const ratios = ratioCurve(model.varianceRatios, grid.stepSeconds);
  if (stepCount === 1) return null;
  // Without ratios the horizon is one block, whose variance the noise leaves alone.
  const curve = ratios.length > 1 ? ratios : [...ratios, { steps: stepCount, ratio: 1 }];
  const filter = filterOf(model, curve, grid);
  if (ratios.length === 1 && filter === null) return null;
  const levels = buildLevels(curve, grid.variances, filter);
  const coarsest = levels[levels.length - 1]!;
  const rootGains = Float64Array.from({ length: coarsest.blockCount }, (_, block) =>
    Math.sqrt(ratioAt(curve, lengthOf(coarsest, block, stepCount))),
  );
  return (returns, pathCount) => {
    filter?.apply(returns, { pathCount, zeros: model.zeroShare > 0 });
    const sums = blockSums(levels, returns, pathCount);
    const traded = model.zeroShare > 0 ? blockSums(levels, tradedVariances(grid, returns), pathCount) : null;
    descend({ levels, rootGains, sums, traded, pathCount });
  };
}

/** Of steps this sparse few have a neighbour that traded, and the correlation would cost the others their variance. */
const MAX_ZERO_SHARE = 0.5;
/** From what the ratios give anyway: half of it in the sigma of two steps, 1e-7 of its CRPS. */
const LEAST_NOISE = 0.001;

function blockTargets(curve: readonly { steps: number; ratio: number }[]): BlockTargets {
  const [, block, wider] = curve;
  const { steps, ratio } = block!;
  return { steps, ratio, neighbours: wider ? (steps * (wider.ratio - ratio)) / (wider.steps / steps - 1) : 0 };
}

/** The mean correlation of adjacent steps that follows from the ratios alone; 0 without. */
export function impliedLagOne(ratios: readonly VarianceRatio[], stepSeconds: number): number {
  const curve = ratioCurve(ratios, stepSeconds);
  return curve.length > 1 ? correlationOf(0, blockTargets(curve)) : 0;
}

/** Null without a correlation of its own, or where two steps are a block of the curve already. */
function filterOf(
  { lagOneAutocorrelation, zeroShare }: PathModel,
  curve: readonly { steps: number; ratio: number }[],
  { variances }: StepGrid,
): LagOneFilter | null {
  if (lagOneAutocorrelation === undefined || curve[1]?.steps === 2 || zeroShare > MAX_ZERO_SHARE) return null;
  const targets = blockTargets(curve);
  if (Math.abs(lagOneAutocorrelation - correlationOf(0, targets)) < LEAST_NOISE) return null;
  // What does not trade has nothing to echo: of two steps both trade (1 - z)² times, each with variance 1 / (1 - z).
  const autocorrelation = lagOneAutocorrelation / (1 - zeroShare);
  return lagOneFilter(variances, { autocorrelation, zeroShare, ...targets });
}

/** Variance of each step of each path: zero where it did not trade. */
function tradedVariances({ variances }: StepGrid, returns: Float64Array): Float64Array {
  const pathCount = returns.length / variances.length;
  const traded = new Float64Array(returns.length);
  for (let step = 0; step < variances.length; step++) {
    const own = variances[step]!;
    const end = (step + 1) * pathCount;
    for (let i = step * pathCount; i < end; i++) traded[i] = returns[i] === 0 ? 0 : own;
  }
  return traded;
}

/** Sums over the blocks of each level, row-major [block, path]; level 0 is the steps' own array. */
function blockSums(levels: readonly Level[], steps: Float64Array, pathCount: number): Float64Array[] {
  const sums = [steps];
  for (let index = 1; index < levels.length; index++) {
    const level = levels[index]!;
    const finer = levels[index - 1]!;
    const parts = sums[index - 1]!;
    const wholes = new Float64Array(level.blockCount * pathCount);
    for (let block = 0; block < finer.blockCount; block++) {
      const from = block * pathCount;
      const to = Math.floor((block * finer.blockSteps) / level.blockSteps) * pathCount;
      for (let path = 0; path < pathCount; path++) wholes[to + path]! += parts[from + path]!;
    }
    sums.push(wholes);
  }
  return sums;
}

/**
 * With a_b the gain of a block's own parts (0 for steps) and a_p that of its parent's, what is left for the block to hand
 * down beyond its parts' own deviations is T_b = Y_b - a_b · X_b = (a_p - a_b) · X_b + w_b · T_p. Each level's sums X become T;
 * a step's T is its result.
 */
function descend(work: {
  levels: readonly Level[];
  rootGains: Float64Array;
  sums: readonly Float64Array[];
  traded: readonly Float64Array[] | null;
  pathCount: number;
}): void {
  const { levels, rootGains, sums, traded, pathCount } = work;
  for (let index = levels.length - 1; index >= 0; index--) {
    const level = levels[index]!;
    const coarser = levels[index + 1];
    const own = sums[index]!;
    const handed = sums[index + 1];
    const variances = traded?.[index];
    const wholes = traded?.[index + 1];
    for (let block = 0; block < level.blockCount; block++) {
      const parent = coarser ? Math.floor((block * level.blockSteps) / coarser.blockSteps) : block;
      const gain = (coarser ? coarser.gains[parent]! : rootGains[block]!) - (index > 0 ? level.gains[block]! : 0);
      const share = level.shares[block]!;
      const at = block * pathCount;
      const above = parent * pathCount;
      if (!handed) for (let i = at; i < at + pathCount; i++) own[i]! *= gain;
      else if (!variances || !wholes) {
        for (let path = 0; path < pathCount; path++) {
          own[at + path] = gain * own[at + path]! + share * handed[above + path]!;
        }
      } else {
        for (let path = 0; path < pathCount; path++) {
          const whole = wholes[above + path]!;
          const part = whole > 0 ? variances[at + path]! / whole : 0;
          own[at + path] = gain * own[at + path]! + part * handed[above + path]!;
        }
      }
    }
  }
}
