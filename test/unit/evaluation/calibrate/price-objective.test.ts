import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { simulatePathModel } from "../../../../src/engines/paths/simulate.ts";
import { pricePlan, weightedBlocks, type PlanOptions } from "../../../../src/evaluation/calibrate/fit-plan.ts";
import type { AssetScale, ScaleSamples } from "../../../../src/evaluation/calibrate/fit-types.ts";
import {
  priceDataOf,
  priceLoss,
  priceObjective,
  stepSigmas,
  vectorOf,
} from "../../../../src/evaluation/calibrate/price-objective.ts";
import { scoringRulesFor } from "../../../../src/scoring/intervals.ts";
import { scorePrompt } from "../../../../src/scoring/prompt-score.ts";
import { forecastRequest } from "../../../support/forecast-inputs.ts";
import { DAY, FEATURES, HOUR, samplesOf } from "./scale-samples.ts";

const shape = { nu: 5, latent: { tau: 0.3, halfLifeSeconds: 1800 } };
const OPTIONS: Readonly<Record<"hour" | "day", PlanOptions>> = {
  hour: { knotSeconds: [0, 900, 3540], ratioSeconds: [300, 900, 1800, 3600], shape, seed: 3 },
  day: { knotSeconds: [0, 7200, 86_100], ratioSeconds: [1800, 10_800, 86_400], shape, seed: 3 },
};
const CASES = [
  ["1h", HOUR, OPTIONS.hour],
  ["24h", DAY, OPTIONS.day],
] as const;

function scaleOf(options: PlanOptions): AssetScale {
  return {
    intercepts: options.knotSeconds.map((_, j) => 0.1 - 0.2 * j),
    betas: Array.from({ length: FEATURES }, (_, k) => options.knotSeconds.map((_, j) => 0.6 - 0.3 * k - 0.1 * j)),
    varianceRatios: options.ratioSeconds.map((seconds, p) => ({ seconds, ratio: 0.93 - 0.03 * p })),
    origins: 0,
    loss: 1,
  };
}

/** Holes: a missing price inside, and at the end of longer blocks. */
function samples(grid: typeof HOUR, count: number): ScaleSamples {
  const own = samplesOf(grid, { count, level: ([x]) => 0.5 * x!, shape, seed: "objective" });
  const points = grid.horizonSeconds / grid.stepSeconds + 1;
  own.logPrices[7] = NaN;
  own.logPrices[points + 30] = NaN;
  return own;
}

describe("price loss", () => {
  for (const [name, grid, options] of CASES) {
    it(`${name}: is the validator's price CRPS of an ensemble of the same model`, () => {
      const own = samples(grid, 4);
      const plan = pricePlan(grid, options);
      const scale = scaleOf(options);
      const { meanBps, perOriginBps } = priceLoss(own, scale, plan);
      assert.ok(Math.abs(perOriginBps.reduce((sum, value) => sum + value / 4, 0) - meanBps) < 1e-9);
      const data = priceDataOf(own, plan);
      const points = plan.stepCount + 1;
      for (let origin = 0; origin < own.count; origin++) {
        const paths = simulatePathModel(forecastRequest({ ...grid, numSimulations: 1000, seed: `check ${origin}` }), {
          anchorPrice: 1,
          stepSigmas: [...stepSigmas(data, plan, vectorOf(scale, plan), origin)],
          ...shape,
          varianceRatios: scale.varianceRatios,
          zeroShare: 0,
          rankMatched: true,
        });
        const realised = own.logPrices.slice(origin * points, (origin + 1) * points).map(Math.exp);
        const rules = scoringRulesFor(grid);
        const { priceCrps } = scorePrompt({ paths, pathCount: 1000, realised, stepSeconds: grid.stepSeconds }, rules);
        // Ratios of blocks with uneven sigmas are met to .01 (see variance-ratio.ts), and the ensemble has its noise.
        const ratio = perOriginBps[origin]! / priceCrps;
        assert.ok(Math.abs(ratio - 1) < 0.01, `origin ${origin}: ${ratio}`);
      }
    });

    it(`${name}: its gradient is that of finite differences, in every parameter`, () => {
      const plan = pricePlan(grid, options);
      const data = priceDataOf(samples(grid, 6), plan);
      const at = vectorOf(scaleOf(options), plan);
      const zeros = (values: Float64Array): Float64Array => new Float64Array(values.length);
      const gradient = {
        intercepts: zeros(at.intercepts),
        betas: zeros(at.betas),
        logRatios: zeros(at.logRatios),
      };
      const loss = priceObjective(data, plan, at, { gradient, factor: 2 });
      const h = 1e-5;
      const sizes = Object.values(gradient).map((values) => Math.max(...values.map(Math.abs)));
      assert.ok(sizes.every((size) => size > 1e-3 * loss));
      for (const key of ["intercepts", "betas", "logRatios"] as const) {
        for (let i = 0; i < at[key].length; i++) {
          const moved = (by: number): number => {
            const values = at[key].slice();
            values[i]! += by;
            return priceObjective(data, plan, { ...at, [key]: values }, {});
          };
          const difference = (2 * (moved(h) - moved(-h))) / (2 * h);
          // Central differences of a loss of this size, whose second derivative jumps at nodes.
          assert.ok(
            Math.abs(difference - gradient[key][i]!) < 1e-5 * loss,
            `${key} ${i}: ${gradient[key][i]}, ${difference}`,
          );
        }
      }
    });
  }

  it("scores blocks as often as intervals do", () => {
    const total = (lengths: ReadonlyMap<number, ReadonlyMap<number, number>>): number =>
      [...lengths.values()].flatMap((weights) => [...weights.values()]).reduce((sum, weight) => sum + weight, 0);
    const day = weightedBlocks(DAY);
    assert.deepEqual([...day].map(([steps, weights]) => [steps, weights.size]), [[1, 288], [6, 48], [36, 8], [288, 1]]); // prettier-ignore
    assert.equal(total(day), 345);
    const hour = weightedBlocks(HOUR);
    assert.equal(total(hour), 60 + 30 + 12 + 4 + 2 + 1 + 12);
    // The gap of an hour is the absolute price again.
    assert.equal(hour.get(60)?.get(0), 2);
    assert.equal(hour.get(25)?.get(0), 1);
    assert.equal(hour.get(5)?.get(0), 2);
    assert.equal(hour.get(5)?.get(5), 1);
  });

  it("leaves out returns with a missing end, also of the absolute price", () => {
    const own = samples(HOUR, 3);
    own.logPrices[2 * 61] = NaN;
    const plan = pricePlan(HOUR, OPTIONS.hour);
    const missing = (origin: number): number =>
      priceDataOf(own, plan)
        .returns.subarray(origin * plan.blockCount, (origin + 1) * plan.blockCount)
        .filter(Number.isNaN).length;
    // Minute 7 ends a block and starts one; minute 30 does so at 1, 2, 5, 15 and 30 minutes. Minute 0 starts one of each
    // of these, and the gaps of the nine other lengths.
    assert.deepEqual([0, 1, 2].map(missing), [2, 10, 14]);
  });

  it("leaves out origins with a number that is not finite, and those without an observed return", () => {
    const own = samples(HOUR, 6);
    own.features[1] = NaN;
    own.logSeasonal[2 * 60 + 5] = -Infinity;
    own.logPrices.fill(NaN, 3 * 61, 4 * 61);
    const plan = pricePlan(HOUR, OPTIONS.hour);
    assert.deepEqual([...priceDataOf(own, plan).origins], [1, 4, 5]);
    const { perOriginBps } = priceLoss(own, scaleOf(OPTIONS.hour), plan);
    assert.deepEqual([...perOriginBps].map(Number.isNaN), [true, false, true, true, false, false]);
  });

  it("refuses knots out of order, ratios that are not nested, and samples or scales of another grid", () => {
    assert.throws(() => pricePlan(HOUR, { ...OPTIONS.hour, knotSeconds: [0, 900, 900] }), RangeError);
    assert.throws(() => pricePlan(HOUR, { ...OPTIONS.hour, ratioSeconds: [300, 1000] }), RangeError);
    const plan = pricePlan(HOUR, OPTIONS.hour);
    assert.throws(() => priceDataOf({ ...samples(HOUR, 3), count: 2 }, plan), RangeError);
    assert.throws(() => vectorOf(scaleOf(OPTIONS.day), plan), RangeError);
  });
});
