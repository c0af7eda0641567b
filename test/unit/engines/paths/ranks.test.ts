import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  addToPool,
  createQuantilePool,
  lawOf,
  poolProbability,
  poolQuantile,
  poolQuantiles,
} from "../../../../src/engines/paths/quantile-pool.ts";
import { createRanking, rankPaths } from "../../../../src/engines/paths/ranks.ts";
import { Random } from "../../../../src/math/random.ts";

describe("ranks of paths", () => {
  it("orders any values as a stable sort does, ties from `first` on, whatever the scale", () => {
    // Few distinct values make ties; scales far off crowd the buckets and reach the library's sort.
    const value = fc.oneof(fc.double({ noNaN: true, min: -1e3, max: 1e3 }), fc.constantFrom(0, 0, 1e-9, -2, 3));
    fc.assert(
      fc.property(
        fc.array(value, { minLength: 1, maxLength: 300 }),
        fc.constantFrom(1e-6, 0.1, 1, 1e5),
        fc.nat(299),
        (list, scale, offset) => {
          const values = Float64Array.from(list);
          const first = offset % values.length;
          const ranking = createRanking(values.length);
          rankPaths(ranking, values, { scale, first });
          const paths = Array.from(values.keys());
          const cyclic = [...paths.slice(first), ...paths.slice(0, first)];
          assert.deepEqual(
            [...ranking.order],
            [...cyclic].sort((a, b) => values[a]! - values[b]!),
          );
        },
      ),
    );
  });
});

describe("quantile pool", () => {
  it("has the quantiles of the sorted sample and its mirror image to .0005 about the centre and .01 at the tails", () => {
    const random = Random.fromSeed("pool");
    const values = Float64Array.from({ length: 50_000 }, () => random.studentT(5));
    const pool = createQuantilePool();
    addToPool(pool, values.subarray(0, 20_000), 1);
    addToPool(
      pool,
      values.subarray(20_000).map((x) => 4 * x),
      0.25,
    );
    const sorted = Float64Array.from([...values, ...values.map((x) => -x)]).sort();
    const quantiles = poolQuantiles(lawOf(pool), 1000);
    quantiles.forEach((quantile, i) => {
      const expected = sorted[100 * i + 50]!;
      const tolerance = 0.0005 + 0.0005 * Math.abs(expected) ** 2 + (i < 3 || i > 996 ? 0.02 : 0);
      assert.ok(Math.abs(quantile - expected) <= tolerance, `rank ${i}: expected ${expected}, was ${quantile}`);
      assert.ok(i === 0 || quantile >= quantiles[i - 1]!);
      assert.equal(quantile + quantiles[999 - i]!, 0);
    });
  });

  it("keeps an atom at zero exactly, for odd and even n", () => {
    const pool = createQuantilePool();
    addToPool(
      pool,
      Float64Array.from({ length: 1000 }, (_, i) => (i < 400 ? 0 : i / 500)),
      1,
    );
    for (const n of [1, 2, 3, 10, 501, 1000]) {
      const zeros = poolQuantiles(lawOf(pool), n).filter((x) => x === 0).length;
      assert.ok(Math.abs(zeros - 0.4 * n) <= 1, `n ${n}: ${zeros}`);
    }
  });

  it("takes quantiles back to their probabilities", () => {
    const pool = createQuantilePool();
    const random = Random.fromSeed("law");
    addToPool(
      pool,
      Float64Array.from({ length: 5000 }, (_, i) => (i % 5 === 0 ? 0 : random.normal())),
      1,
    );
    const law = lawOf(pool);
    for (let i = 1; i < 1000; i++) {
      const x = poolQuantile(law, i / 1000);
      const expected = x === 0 ? 0.5 : i / 1000;
      assert.ok(Math.abs(poolProbability(law, x) - expected) < 1e-9, `${i}`);
    }
  });
});
