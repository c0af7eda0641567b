import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { coverage, COVERAGE_LEVELS, pit, pitHistogram } from "../../../src/scoring/pit.ts";

/** The PITs of each member of a sample of distinct values in the ensemble of the others: exactly calibrated. */
function leaveOneOut(sample: readonly number[]): number[] {
  return sample.map((x, i) => pit(Float64Array.from(sample.toSpliced(i, 1)), x));
}

describe("pit", () => {
  it("is the mid-rank of the observation among members and itself", () => {
    const members = Float64Array.of(1, 2, 2, 4);
    assert.equal(pit(members, 0), 0.5 / 5);
    assert.equal(pit(members, 2), (1 + 1.5) / 5);
    assert.equal(pit(members, 3), 3.5 / 5);
    assert.equal(pit(members, 9), 4.5 / 5);
  });

  it("is 1/2 where everything is tied", () => {
    assert.equal(pit(Float64Array.of(7, 7, 7), 7), 0.5);
  });

  it("mirrors with the sign", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -5, max: 5 }), { minLength: 1 }),
        fc.integer({ min: -6, max: 6 }),
        (y, x) => {
          const mirrored = pit(
            Float64Array.from(y, (a) => -a),
            -x,
          );
          assert.ok(Math.abs(pit(Float64Array.from(y), x) + mirrored - 1) < 1e-12);
        },
      ),
    );
  });

  it("is uniform, with the nominal coverage, for exchangeable values", () => {
    const pits = leaveOneOut(Array.from({ length: 1000 }, (_, i) => (i * 7919) % 1000));
    assert.deepEqual(pitHistogram(pits, 10), new Array(10).fill(100));
    for (const level of COVERAGE_LEVELS) assert.ok(Math.abs(coverage(pits, level) - level) <= 1 / 1000);
  });
});

describe("coverage and histogram", () => {
  it("count a value on the border as covered", () => {
    assert.equal(coverage([0.005, 0.995, 0.004, 0.5], 0.99), 0.75);
  });

  it("have every value in one bin, the ends included", () => {
    assert.deepEqual(pitHistogram([0, 0.25, 0.5, 0.999, 1], 4), [1, 1, 1, 2]);
  });
});
