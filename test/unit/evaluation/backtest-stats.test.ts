import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import fc from "fast-check";
import { z } from "zod";
import {
  bootstrapInterval,
  dieboldMariano,
  hacLags,
  longRunVariance,
  MIN_BLOCKS,
  studentTwoSided,
} from "../../../src/evaluation/backtest/stats.ts";

const numbers = z.array(z.number());
const vectors = z
  .object({
    diebold_mariano: z.array(
      z.object({
        series: numbers,
        lags: z.int(),
        long_run_variance: z.number(),
        statistic: z.number(),
        p_value: z.number(),
      }),
    ),
    student_two_sided: z.array(z.tuple([z.number(), z.number(), z.number()])),
    bootstrap: z.object({ engine: numbers, baseline: numbers, low: z.number(), high: z.number() }),
  })
  .parse(JSON.parse(readFileSync(new URL("../../vectors/backtest_stats.json", import.meta.url), "utf8")));

function assertClose(found: number, expected: number, tolerance: number): void {
  assert.ok(Math.abs(found - expected) <= tolerance * Math.max(1e-12, Math.abs(expected)), `${found} vs ${expected}`);
}

const { engine, baseline } = vectors.bootstrap;

function ratioOf(drawn: Uint32Array): number {
  let [own, other] = [0, 0];
  for (const index of drawn) {
    own += engine[index]!;
    other += baseline[index]!;
  }
  return own / other;
}

describe("vectors made by numpy and scipy", () => {
  it("Diebold-Mariano with a Newey-West variance", () => {
    for (const { series, lags, ...expected } of vectors.diebold_mariano) {
      assertClose(longRunVariance(series, lags), expected.long_run_variance, 1e-10);
      const found = dieboldMariano(series, lags)!;
      assertClose(found.statistic, expected.statistic, 1e-10);
      assertClose(found.pValue, expected.p_value, 1e-8);
    }
  });

  it("two-sided tails of Student's t", () => {
    for (const [t, nu, expected] of vectors.student_two_sided) assertClose(studentTwoSided(t, nu), expected, 1e-8);
  });

  it("block bootstrap: 95 % interval of a ratio, within the noise of 20,000 draws", () => {
    const { low, high } = vectors.bootstrap;
    const found = bootstrapInterval(engine.length, ratioOf, { draws: 20_000, seed: "vectors" })!;
    // The standard error of a 2.5 % quantile of a normal at 20,000 draws is 0.019 sd = 0.005 widths; four of them.
    assertClose(found.low, low, (0.02 * (high - low)) / low);
    assertClose(found.high, high, (0.02 * (high - low)) / high);
  });
});

describe("properties", () => {
  const series = fc.array(fc.double({ min: -100, max: 100, noNaN: true }), { minLength: 3, maxLength: 60 });

  it("a test changes its sign, and nothing else, when the forecasts change places; scale does not matter", () => {
    fc.assert(
      fc.property(series, fc.nat(10), (values, lags) => {
        const found = dieboldMariano(values, lags);
        const swapped = dieboldMariano(
          values.map((value) => -4 * value),
          lags,
        );
        if (found === null || swapped === null) return;
        assertClose(swapped.statistic, -found.statistic, 1e-6);
        assertClose(swapped.pValue, found.pValue, 1e-6);
        assert.ok(found.pValue >= 0 && found.pValue <= 1);
      }),
      { seed: 3 },
    );
  });

  it("a long-run variance is never negative, and without lags it is the variance", () => {
    fc.assert(
      fc.property(series, fc.nat(30), (values, lags) => {
        const mean = values.reduce((a, b) => a + b, 0) / values.length;
        const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
        assert.ok(longRunVariance(values, Math.min(lags, values.length - 1)) >= -1e-9 * variance);
        assert.ok(Math.abs(longRunVariance(values, 0) - variance) <= 1e-9 * (1 + variance));
      }),
      { seed: 4 },
    );
  });

  it("an interval holds the ratio of equal blocks exactly, is the same for the same seed, and needs enough blocks", () => {
    const constant = bootstrapInterval(8, () => 0.97, { draws: 50, seed: "a" });
    assert.deepEqual(constant, { low: 0.97, high: 0.97 });
    const options = { draws: 200, seed: "b" };
    assert.deepEqual(bootstrapInterval(60, ratioOf, options), bootstrapInterval(60, ratioOf, options));
    assert.notDeepEqual(
      bootstrapInterval(60, ratioOf, options),
      bootstrapInterval(60, ratioOf, { ...options, seed: "c" }),
    );
    assert.equal(
      bootstrapInterval(MIN_BLOCKS - 1, () => 1, options),
      null,
    );
    assert.equal(
      bootstrapInterval(10, () => NaN, options),
      null,
    );
  });

  it("identical forecasts and short series have no test", () => {
    assert.equal(dieboldMariano([0, 0, 0, 0], 1), null);
    assert.equal(dieboldMariano([1, 2], 0), null);
  });

  it("lags follow the overlap of horizons, at least Newey and West's rule, below the number of prompts", () => {
    assert.equal(hacLags(100, 1), 4);
    assert.equal(hacLags(150, 6), 5);
    assert.equal(hacLags(3, 50), 2);
    assert.equal(hacLags(0, 1), 0);
  });
});
