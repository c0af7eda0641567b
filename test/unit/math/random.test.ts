import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Random } from "../../../src/math/random.ts";

const DRAWS = 400_000;

/** Sample moments: mean, and the means of |x|, x² and x⁴. */
function moments(draw: () => number): { mean: number; absolute: number; square: number; fourth: number } {
  const sums = { mean: 0, absolute: 0, square: 0, fourth: 0 };
  for (let i = 0; i < DRAWS; i++) {
    const x = draw();
    sums.mean += x / DRAWS;
    sums.absolute += Math.abs(x) / DRAWS;
    sums.square += (x * x) / DRAWS;
    sums.fourth += x ** 4 / DRAWS;
  }
  return sums;
}

function assertNear(actual: number, expected: number, tolerance: number): void {
  assert.ok(Math.abs(actual - expected) <= tolerance, `expected ${expected} ± ${tolerance}, was ${actual}`);
}

describe("xoshiro128++", () => {
  it("gives the reference implementation's first ten outputs for state 1, 2, 3, 4 (xoshiro128plusplus.c)", () => {
    const random = new Random([1, 2, 3, 4]);
    const expected = [
      641, 1573767, 3222811527, 3517856514, 836907274, 4247214768, 3867114732, 1355841295, 495546011, 621204420,
    ];
    assert.deepEqual(
      expected.map(() => random.nextInt32() >>> 0),
      expected,
    );
  });

  it("refuses the state from which it would never move", () => {
    assert.throws(() => new Random([0, 0, 0, 0]), RangeError);
  });

  it("takes the first 16 bytes of SHA-256 of the seed as little-endian words", () => {
    // sha256("abc") = ba7816bf 8f01cfea 414140de 5dae2223 … (FIPS 180-2, appendix B.1)
    const seeded = Random.fromSeed("abc");
    const explicit = new Random([0xbf1678ba, 0xeacf018f, 0xde404141, 0x2322ae5d]);
    for (let i = 0; i < 100; i++) assert.equal(seeded.nextInt32(), explicit.nextInt32());
  });
});

// Tolerances: five standard errors of the sample moment at 400,000 draws.
describe("samplers", () => {
  it("uniform stays inside (0, 1) with mean 1/2 and variance 1/12", () => {
    const random = Random.fromSeed("uniform");
    const { mean, square } = moments(() => {
      const u = random.uniform();
      assert.ok(u > 0 && u < 1);
      return u;
    });
    assertNear(mean, 0.5, 0.0023);
    assertNear(square - mean * mean, 1 / 12, 0.0006);
  });

  it("normal has the moments of N(0, 1)", () => {
    const random = Random.fromSeed("normal");
    const { mean, absolute, square, fourth } = moments(() => random.normal());
    assertNear(mean, 0, 0.008);
    assertNear(absolute, Math.sqrt(2 / Math.PI), 0.0048);
    assertNear(square, 1, 0.0112);
    assertNear(fourth, 3, 0.078);
  });

  it("normal has the tail beyond the ziggurat's last layer (R = 3.4426: 2 · 2.881e-4 of the mass)", () => {
    const random = Random.fromSeed("tail");
    let beyond = 0;
    let largest = 0;
    for (let i = 0; i < 2_000_000; i++) {
      const x = Math.abs(random.normal());
      if (x > 3.442619855899) beyond++;
      largest = Math.max(largest, x);
    }
    assertNear(beyond, 1152.4, 5 * Math.sqrt(1152));
    assert.ok(largest > 4.3 && largest < 6.5);
  });

  it("normal fits N(0, 1) in Kolmogorov's distance", () => {
    const random = Random.fromSeed("ks");
    const sample = Float64Array.from({ length: 200_000 }, () => random.normal()).sort();
    // P(X <= x) at some points, from scipy.stats.norm.cdf.
    const cdf = [
      [-2.5, 0.006209665325776132],
      [-1, 0.15865525393145707],
      [-0.3, 0.3820885778110474],
      [0.1, 0.539827837277029],
      [0.7, 0.758036347776927],
      [1.9, 0.9712834401839981],
    ] as const;
    for (const [x, p] of cdf) {
      const below = sample.findIndex((value) => value > x);
      assertNear(below / sample.length, p, 0.0046);
    }
  });

  it("gamma has mean and variance equal to its shape", () => {
    for (const shape of [1, 1.3, 2.75, 15]) {
      const random = Random.fromSeed(`gamma ${shape}`);
      const { mean, square } = moments(() => random.gamma(shape));
      assertNear(mean, shape, 5 * Math.sqrt(shape / DRAWS));
      // Var(x²-mean) of a gamma: its variance's standard error is sqrt((6/shape + 2) / n) · shape.
      assertNear(square - mean * mean, shape, 5 * shape * Math.sqrt((6 / shape + 2) / DRAWS) * 1.1);
    }
  });

  it("refuses shapes and degrees of freedom it has no exact sampler for", () => {
    const random = Random.fromSeed("refuse");
    assert.throws(() => random.gamma(0.5), RangeError);
    assert.throws(() => random.studentT(2), RangeError);
    assert.throws(() => random.studentT(NaN), RangeError);
  });

  it("Student-t has unit variance, the kurtosis and E|x| of its nu, integer or not", () => {
    // E|x| of scipy.stats.t(nu) divided by its standard deviation.
    for (const [nu, absolute] of [
      [5, 0.735105],
      [6.5, 0.755094],
      [30, 0.790794],
    ] as const) {
      const random = Random.fromSeed(`t ${nu}`);
      const sample = moments(() => random.studentT(nu));
      assertNear(sample.mean, 0, 0.008);
      assertNear(sample.absolute, absolute, 0.006);
      assertNear(sample.square, 1, 0.03);
      if (nu === 30) assertNear(sample.fourth, 3 + 6 / 26, 0.12);
    }
  });
});
