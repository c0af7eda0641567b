/** Value at `x`; writes its gradient. */
export type Objective = (x: Float64Array, gradient: Float64Array) => number;

export interface Minimum {
  readonly x: Float64Array;
  readonly value: number;
  readonly iterations: number;
  /** Whether a tolerance was met before the iterations ran out or the line search failed. */
  readonly converged: boolean;
}

export interface MinimiseOptions {
  readonly maxIterations: number;
  /** Largest gradient component, relative to max(1, |value|), that counts as zero. */
  readonly gradientTolerance?: number;
  /** A relative decrease below this, PATIENCE times in a row, ends the search. */
  readonly decreaseTolerance?: number;
  readonly onProgress?: (iteration: number, value: number) => void;
}

/** Correction pairs kept: Nocedal & Wright find 3 to 20 satisfactory; a pair costs next to nothing beside an evaluation. */
const HISTORY = 20;
const PATIENCE = 3;
/** Sufficient decrease: N&W's usual c1. */
const ARMIJO = 1e-4;
const MAX_BACKTRACKS = 30;

interface Pair {
  readonly s: Float64Array;
  readonly y: Float64Array;
  readonly sy: number;
}

/**
 * L-BFGS with an Armijo backtracking line search: Nocedal & Wright, Numerical Optimization (2006), algorithms 7.4 (two-loop
 * recursion) and 7.5, step lengths by their eq. 3.57. Pairs with too little curvature, which backtracking alone does not
 * exclude, are skipped. Our own, because no maintained library of it is among our dependencies.
 *
 * A point with a value that is not finite counts as too high. Throws RangeError if the start is such a point.
 */
export function minimise(objective: Objective, start: Float64Array, options: MinimiseOptions): Minimum {
  const { gradientTolerance = 1e-8, decreaseTolerance = 1e-9 } = options;
  let x = start.slice();
  let gradient = new Float64Array(x.length);
  let value = objective(x, gradient);
  if (!Number.isFinite(value)) throw new RangeError(`expected a finite value at the start, was ${value}`);
  const pairs: Pair[] = [];
  let small = 0;
  let iteration = 0;
  for (; iteration < options.maxIterations; iteration++) {
    const scale = Math.max(1, Math.abs(value));
    if (gradient.every((g) => Math.abs(g) <= gradientTolerance * scale))
      return { x, value, iterations: iteration, converged: true };
    let direction = descentDirection(pairs, gradient);
    if (!(dot(direction, gradient) < 0)) {
      pairs.length = 0;
      direction = descentDirection(pairs, gradient);
    }
    const next = lineSearch(objective, { x, value, gradient }, direction);
    if (!next) break;
    addPair(pairs, { x, gradient }, next);
    small = value - next.value <= decreaseTolerance * Math.max(Math.abs(value), Number.MIN_VALUE) ? small + 1 : 0;
    ({ x, value, gradient } = next);
    options.onProgress?.(iteration + 1, value);
    if (small === PATIENCE) return { x, value, iterations: iteration + 1, converged: true };
  }
  return { x, value, iterations: iteration, converged: false };
}

interface Point {
  readonly x: Float64Array<ArrayBuffer>;
  readonly value: number;
  readonly gradient: Float64Array<ArrayBuffer>;
}

/** -H · gradient; H starts from s'y / y'y of the newest pair, without pairs from a step of length 1 at most. */
function descentDirection(pairs: readonly Pair[], gradient: Float64Array): Float64Array {
  const q = gradient.map((g) => -g);
  const alphas = new Float64Array(pairs.length);
  for (let i = pairs.length - 1; i >= 0; i--) {
    const { s, y, sy } = pairs[i]!;
    alphas[i] = dot(s, q) / sy;
    addScaled(q, -alphas[i]!, y);
  }
  const newest = pairs.at(-1);
  const gamma = newest ? newest.sy / dot(newest.y, newest.y) : 1 / Math.max(1, Math.sqrt(dot(gradient, gradient)));
  for (let i = 0; i < q.length; i++) q[i]! *= gamma;
  for (const [i, { s, y, sy }] of pairs.entries()) addScaled(q, alphas[i]! - dot(y, q) / sy, s);
  return q;
}

/** Backtracks from the full step to a sufficient decrease, each time to the minimum of a parabola. Null if there is none. */
function lineSearch(objective: Objective, from: Point, direction: Float64Array): Point | null {
  const slope = dot(direction, from.gradient);
  let step = 1;
  for (let i = 0; i < MAX_BACKTRACKS; i++) {
    const x = from.x.slice();
    addScaled(x, step, direction);
    const gradient = new Float64Array(x.length);
    const value = objective(x, gradient);
    if (value <= from.value + ARMIJO * step * slope) return { x, value, gradient };
    const parabola = (-slope * step * step) / (2 * (value - from.value - slope * step));
    // A bad parabola (the value was not finite) or one that hardly moves gives way to bounds, as N&W advise.
    step = Number.isFinite(parabola) ? Math.min(Math.max(parabola, 0.1 * step), 0.5 * step) : 0.1 * step;
  }
  return null;
}

function addPair(pairs: Pair[], from: { x: Float64Array; gradient: Float64Array }, to: Point): void {
  const s = to.x.map((value, i) => value - from.x[i]!);
  const y = to.gradient.map((value, i) => value - from.gradient[i]!);
  const sy = dot(s, y);
  if (!(sy > 1e-10 * Math.sqrt(dot(s, s) * dot(y, y)))) return;
  pairs.push({ s, y, sy });
  if (pairs.length > HISTORY) pairs.shift();
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function addScaled(target: Float64Array, factor: number, values: Float64Array): void {
  for (let i = 0; i < target.length; i++) target[i]! += factor * values[i]!;
}
