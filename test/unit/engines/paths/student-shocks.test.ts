import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { studentShocks } from "../../../../src/engines/paths/student-shocks.ts";
import { Random } from "../../../../src/math/random.ts";

const DRAWS = 400_000;

function draw(nu: number, count = DRAWS): Float64Array {
  const shocks = new Float64Array(count);
  studentShocks(nu)(Random.fromSeed(`shocks ${nu}`), shocks);
  return shocks;
}

function assertNear(actual: number, expected: number, tolerance: number): void {
  assert.ok(Math.abs(actual - expected) <= tolerance, `expected ${expected} ± ${tolerance}, was ${actual}`);
}

describe("Student-t shocks by ziggurat", () => {
  it("has the closed-form distribution function of t(3) and t(5), from the centre far into the tail", () => {
    // The argument t in its own units; x below in standard deviations.
    const cdf = {
      3: (t: number) => 0.5 + (Math.atan(t / Math.sqrt(3)) + t / Math.sqrt(3) / (1 + (t * t) / 3)) / Math.PI,
      5: (t: number) => {
        const y = t / Math.sqrt(5);
        const w = 1 + y * y;
        return 0.5 + (Math.atan(y) + (y / w) * (1 + 2 / (3 * w))) / Math.PI;
      },
    };
    for (const nu of [3, 5] as const) {
      const shocks = draw(nu, 2_000_000).sort();
      for (const x of [-12, -6, -3.5, -2, -1, -0.4, -0.05, 0, 0.2, 0.7, 1.5, 2.5, 4.5, 9]) {
        const p = cdf[nu](x * Math.sqrt(nu / (nu - 2)));
        let below = 0;
        while (below < shocks.length && shocks[below]! <= x) below++;
        // Five standard errors of a share.
        assertNear(below / shocks.length, p, 5 * Math.sqrt((p * (1 - p)) / shocks.length));
      }
    }
  });

  it("agrees with Random.studentT's E|x| and unit variance for any nu", () => {
    // E|x| of scipy.stats.t(nu) divided by its standard deviation, as in test/unit/math/random.test.ts; at 400 normal.
    for (const [nu, absolute] of [
      [5, 0.735105],
      [6.5, 0.755094],
      [30, 0.790794],
      [400, Math.sqrt(2 / Math.PI)],
    ] as const) {
      const shocks = draw(nu);
      const mean = (f: (x: number) => number): number => shocks.reduce((sum, x) => sum + f(x), 0) / DRAWS;
      assertNear(
        mean((x) => x),
        0,
        0.008,
      );
      assertNear(mean(Math.abs), absolute, 0.006);
      assertNear(
        mean((x) => x * x),
        1,
        0.03,
      );
    }
  });

  it("cuts shocks at 30 standard deviations and builds its layers for any nu above 2", () => {
    for (const nu of [2.01, 2.5, 4.4, 12, 60, 99.9]) {
      const shocks = draw(nu, 20_000);
      assert.ok(shocks.every((x) => Math.abs(x) <= 30));
      const median = shocks.sort()[10_000]!;
      assertNear(median, 0, 0.05);
    }
    assert.throws(() => studentShocks(2), RangeError);
    assert.throws(() => studentShocks(NaN), RangeError);
  });
});
