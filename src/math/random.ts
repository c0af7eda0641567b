import { createHash } from "node:crypto";

/**
 * Ziggurat of 128 equal-area layers under exp(-x²/2) (Marsaglia & Tsang 2000): layer edges `X` (descending, X[0] is the
 * base layer's width V / f(R)) and the density at them. R and V are the published constants for 128 layers.
 */
const LAYERS = 128;
const R = 3.442619855899;
const V = 9.91256303526217e-3;
const X = new Float64Array(LAYERS + 1);
const F = new Float64Array(LAYERS + 1);

X[0] = V / Math.exp(-0.5 * R * R);
X[1] = R;
for (let i = 2; i < LAYERS; i++) {
  const edge = X[i - 1]!;
  X[i] = Math.sqrt(-2 * Math.log(V / edge + Math.exp(-0.5 * edge * edge)));
}
X[LAYERS] = 0;
for (let i = 0; i <= LAYERS; i++) F[i] = Math.exp(-0.5 * X[i]! * X[i]!);

const TWO_POW_MINUS_32 = 2 ** -32;
const TWO_POW_MINUS_24 = 2 ** -24;

/**
 * Seeded generator: xoshiro128++ (Blackman & Vigna 2019; period 2^128 - 1) on 32-bit words, which V8 computes without
 * boxing. One seed gives one sequence on every machine that runs the same version of V8 (exp and log are V8's own).
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** Four 32-bit words of state, not all zero. */
  constructor(state: readonly [number, number, number, number]) {
    [this.#a, this.#b, this.#c, this.#d] = [state[0] | 0, state[1] | 0, state[2] | 0, state[3] | 0];
    if ((this.#a | this.#b | this.#c | this.#d) === 0) throw new RangeError("expected a state that is not all zero");
  }

  /** State = the first 16 bytes of SHA-256 of the text's UTF-8, as four little-endian words. */
  static fromSeed(seed: string): Random {
    const hash = createHash("sha256").update(seed, "utf8").digest();
    return new Random([hash.readInt32LE(0), hash.readInt32LE(4), hash.readInt32LE(8), hash.readInt32LE(12)]);
  }

  /** The next 32 bits as a signed integer. */
  nextInt32(): number {
    const a = this.#a;
    const b = this.#b;
    const sum = (a + this.#d) | 0;
    const result = (((sum << 7) | (sum >>> 25)) + a) | 0;
    const c = this.#c ^ a;
    const d = this.#d ^ b;
    this.#b = b ^ c;
    this.#a = a ^ d;
    this.#c = c ^ (b << 9);
    this.#d = (d << 11) | (d >>> 21);
    return result;
  }

  /** Uniform on the open interval (0, 1), at the 2^32 midpoints. */
  uniform(): number {
    return ((this.nextInt32() >>> 0) + 0.5) * TWO_POW_MINUS_32;
  }

  /** Standard normal. Seven bits choose the layer, one the sign, 24 the place in the layer: none is used twice. */
  normal(): number {
    for (;;) {
      const bits = this.nextInt32();
      const layer = bits & 127;
      const place = ((bits >>> 8) + 0.5) * TWO_POW_MINUS_24;
      const x = place * X[layer]!;
      const sign = (bits & 128) === 0 ? 1 : -1;
      if (x < X[layer + 1]!) return sign * x;
      if (layer === 0) return sign * this.#normalTail();
      if (F[layer]! + this.uniform() * (F[layer + 1]! - F[layer]!) < Math.exp(-0.5 * x * x)) return sign * x;
    }
  }

  /** The normal beyond R, by Marsaglia's exponential rejection. */
  #normalTail(): number {
    for (;;) {
      const x = -Math.log(this.uniform()) / R;
      if (-2 * Math.log(this.uniform()) >= x * x) return R + x;
    }
  }

  /** Gamma with the given shape >= 1 and scale 1 (Marsaglia & Tsang 2000, "A simple method", exact). */
  gamma(shape: number): number {
    if (!(shape >= 1)) throw new RangeError(`expected a gamma shape of at least 1, was ${shape}`);
    const d = shape - 1 / 3;
    const c = 1 / Math.sqrt(9 * d);
    for (;;) {
      const x = this.normal();
      const root = 1 + c * x;
      if (root <= 0) continue;
      const v = root * root * root;
      const u = this.uniform();
      const x2 = x * x;
      if (u < 1 - 0.0331 * x2 * x2) return d * v;
      if (Math.log(u) < 0.5 * x2 + d * (1 - v + Math.log(v))) return d * v;
    }
  }

  /**
   * Student-t with nu > 2 degrees of freedom (any real number), divided by its standard deviation so that the variance
   * is 1: Z · sqrt((nu - 2) / chi²_nu), with chi²_nu = 2 · gamma(nu / 2).
   */
  studentT(nu: number): number {
    if (!(nu > 2)) throw new RangeError(`expected more than 2 degrees of freedom (finite variance), was ${nu}`);
    return this.normal() * Math.sqrt((0.5 * (nu - 2)) / this.gamma(0.5 * nu));
  }
}
