import type { Random } from "../../math/random.ts";

/** A single shock is cut here, so that no draw at a small nu leaves the range of prices; at nu = 5 one in 3 million is. */
const MAX_SHOCK = 30;
/** From here on a Student-t is drawn as a normal: its excess kurtosis, 6 / (nu - 4), is below .07. */
const NORMAL_FROM_NU = 100;

const LAYERS = 128;
const TAIL_NODES = 200;
const BISECTIONS = 60;
const TWO_POW_MINUS_24 = 2 ** -24;

/** Fills the array with independent shocks of unit variance, at most MAX_SHOCK in size. */
export type FillShocks = (random: Random, shocks: Float64Array) => void;

/** Layer edges (descending, edges[0] the base layer's width area / f(edges[1])) and the density f at them, f(0) = 1. */
interface Ziggurat {
  readonly edges: Float64Array;
  readonly densities: Float64Array;
}

/** Density of Student's t up to a factor: f(x) = (1 + x²/nu)^(-(nu+1)/2). */
function density(x: number, nu: number): number {
  return (1 + (x * x) / nu) ** (-0.5 * (nu + 1));
}

/** x >= 0 with f(x) = y. */
function inverseDensity(y: number, nu: number): number {
  return Math.sqrt(nu * (y ** (-2 / (nu + 1)) - 1));
}

/**
 * Integral of f from r > 0 on, with x = r · e^y: the integrand falls as e^(-nu·y) or faster, hence 40 / nu as infinity.
 * Simpson's rule; relative error below 1e-6 for nu from 2 to 100.
 */
function tailArea(r: number, nu: number): number {
  const h = 40 / nu / TAIL_NODES;
  let sum = 0;
  for (let i = 0; i <= TAIL_NODES; i++) {
    const x = r * Math.exp(i * h);
    const weight = i === 0 || i === TAIL_NODES ? 1 : i % 2 === 1 ? 4 : 2;
    sum += weight * x * density(x, nu);
  }
  return (sum * h) / 3;
}

/** Layers of equal area that start at r; null where they reach the top too early, so that r is too small. */
function layersFrom(r: number, nu: number): Ziggurat | null {
  const edges = new Float64Array(LAYERS + 1);
  const densities = new Float64Array(LAYERS + 1);
  const top = density(r, nu);
  const area = r * top + tailArea(r, nu);
  edges[0] = area / top;
  densities[0] = density(edges[0], nu);
  edges[1] = r;
  densities[1] = top;
  for (let i = 2; i <= LAYERS; i++) {
    const next = densities[i - 1]! + area / edges[i - 1]!;
    if (next >= 1) return null;
    densities[i] = next;
    edges[i] = inverseDensity(next, nu);
  }
  return { edges, densities };
}

function buildZiggurat(nu: number): Ziggurat {
  let low = 1;
  // The edge beyond which 1/128 of the mass of t(2) lies is below 12.
  let high = 40;
  for (let i = 0; i < BISECTIONS; i++) {
    const middle = 0.5 * (low + high);
    if (layersFrom(middle, nu)) high = middle;
    else low = middle;
  }
  const ziggurat = layersFrom(high, nu)!;
  ziggurat.edges[LAYERS] = 0;
  ziggurat.densities[LAYERS] = 1;
  return ziggurat;
}

/**
 * |T| beyond r: with s = ln(1 + x²/nu) the density is proportional to e^(-(nu-1)s/2) / x, at most that of a shifted
 * exponential, accepted with probability r / x. For nu → ∞ this is Marsaglia's tail of the normal.
 */
function drawTail(random: Random, r: number, nu: number): number {
  const atEdge = Math.log1p((r * r) / nu);
  for (;;) {
    const s = atEdge - (2 / (nu - 1)) * Math.log(random.uniform());
    const x = Math.sqrt(nu * Math.expm1(s));
    if (random.uniform() * x <= r) return x;
  }
}

/**
 * Shocks of Student's t with nu > 2 degrees of freedom, scaled to unit variance, by a ziggurat of 128 layers under the
 * t density itself (Marsaglia & Tsang 2000 for any decreasing density; the tail as above). The same distribution as
 * `Random.studentT`, at a quarter of its time. Normal from nu = 100 on.
 */
export function studentShocks(nu: number): FillShocks {
  if (!(nu > 2)) throw new RangeError(`expected more than 2 degrees of freedom (finite variance), was ${nu}`);
  if (nu >= NORMAL_FROM_NU) return fillNormals;
  const { edges, densities } = buildZiggurat(nu);
  const scale = Math.sqrt((nu - 2) / nu);
  const outside = (random: Random, layer: number, x: number): number => {
    if (layer === 0) return drawTail(random, edges[1]!, nu);
    const low = densities[layer]!;
    return low + random.uniform() * (densities[layer + 1]! - low) < density(x, nu) ? x : NaN;
  };
  return (random, shocks) => {
    for (let i = 0; i < shocks.length;) {
      // Seven bits choose the layer, one the sign, 24 the place in the layer, as in Random.normal.
      const bits = random.nextInt32();
      const layer = bits & 127;
      let x = ((bits >>> 8) + 0.5) * TWO_POW_MINUS_24 * edges[layer]!;
      if (!(x < edges[layer + 1]!)) {
        x = outside(random, layer, x);
        if (Number.isNaN(x)) continue;
      }
      const shock = Math.min(scale * x, MAX_SHOCK);
      shocks[i++] = (bits & 128) === 0 ? shock : -shock;
    }
  };
}

export function fillNormals(random: Random, normals: Float64Array): void {
  for (let i = 0; i < normals.length; i++) normals[i] = random.normal();
}
