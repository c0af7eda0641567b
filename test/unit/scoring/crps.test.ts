import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { crps } from "../../../src/scoring/crps.ts";
import { createEnsemble, sortEnsemble } from "../../../src/scoring/ensemble.ts";

/** Reals, with ties and outliers that stretch the range. */
const member = fc.oneof(
  fc.double({ min: -100, max: 100, noNaN: true }),
  fc.integer({ min: -3, max: 3 }),
  fc.double({ min: -1e12, max: 1e12, noNaN: true }),
);
const members = fc.array(member, { minLength: 1, maxLength: 200, size: "max" });

function doubleSum(y: readonly number[], x: number): number {
  const n = y.length;
  const distance = y.reduce((sum, a) => sum + Math.abs(a - x), 0) / n;
  const spread = y.reduce((sum, a) => sum + y.reduce((inner, b) => inner + Math.abs(a - b), 0), 0);
  return distance - spread / (2 * n * n);
}

describe("crps", () => {
  it("equals the double sum of its definition", () => {
    fc.assert(
      fc.property(members, member, (y, x) => {
        // The double sum cancels: its error grows with the largest distance, ours does not.
        const scale = Math.max(...y.map((a) => Math.abs(a - x)));
        assert.ok(Math.abs(crps(y, x) - doubleSum(y, x)) <= 1e-13 * y.length * scale + 1e-300); // subnormals
      }),
    );
  });

  it("is the absolute error of a single member", () => {
    assert.equal(crps([3], 5), 2);
    assert.equal(crps([3], 3), 0);
    assert.equal(crps([7, 7, 7], 5), 2);
  });

  it("tends to the closed form of a continuous distribution", () => {
    // The standard logistic, by its quantiles, at its median: 2 ln 2 - 1 (Jordan, Krüger & Lerch 2019, appendix A).
    const n = 20_000;
    const logistic = Array.from({ length: n }, (_, i) => Math.log((i + 0.5) / (n - i - 0.5)));
    assert.ok(Math.abs(crps(logistic, 0) - (2 * Math.LN2 - 1)) < 1e-4);
  });

  it("moves and stretches with its unit, and ignores the order of the members", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: 1 }), fc.integer(), (y, shift) => {
        const score = crps(y, 17);
        const moved = crps(
          y.map((a) => a + shift),
          17 + shift,
        );
        assert.equal(moved, score);
        assert.equal(
          crps(
            y.map((a) => a * 4),
            68,
          ),
          score * 4,
        );
        assert.equal(crps(y.toReversed(), 17), score);
      }),
    );
  });

  it("leaves its input as it was", () => {
    const y = [3, 1, 2];
    crps(y, 0);
    assert.deepEqual(y, [3, 1, 2]);
  });
});

describe("sortEnsemble", () => {
  it("sorts any members as the library does, also when the ensemble is reused", () => {
    fc.assert(
      fc.property(members, member, (y, filler) => {
        const ensemble = createEnsemble(y.length);
        ensemble.members.fill(filler);
        sortEnsemble(ensemble);
        ensemble.members.set(y);
        sortEnsemble(ensemble);
        // Adding 0 makes one zero of the two.
        const plus = (value: number): number => value + 0;
        assert.deepEqual(Array.from(ensemble.sorted, plus), y.toSorted((a, b) => a - b).map(plus));
        assert.deepEqual([...ensemble.members], y);
      }),
    );
  });

  it("sorts ranges at the limits of doubles", () => {
    for (const y of [
      [1.7e308, -1.7e308, 0, 5],
      [5e-324, 0, 5e-324, 1e-323],
      [Infinity, 1, -Infinity, 0],
      Array.from({ length: 500 }, (_, i) => (i === 250 ? 1e300 : -i)),
    ]) {
      const ensemble = createEnsemble(y.length);
      ensemble.members.set(y);
      sortEnsemble(ensemble);
      assert.deepEqual(
        [...ensemble.sorted],
        y.toSorted((a, b) => a - b),
      );
    }
  });
});
