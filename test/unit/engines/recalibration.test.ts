import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { PathModel } from "../../../src/engines/path-model.ts";
import { simulatePathModel } from "../../../src/engines/paths/simulate.ts";
import { appliedFactors, factorAt, recalibrate } from "../../../src/engines/recalibration.ts";
import { FACTOR_LENGTHS } from "../../../src/evaluation/recalibrate/statistics.ts";
import { forecastRequest } from "../../support/forecast-inputs.ts";
import { pathModel } from "../../support/path-models.ts";

type Grid = { readonly horizonSeconds: number; readonly stepSeconds: number };

const GRIDS = {
  "24h": { horizonSeconds: 86_400, stepSeconds: 300 },
  "1h": { horizonSeconds: 3600, stepSeconds: 60 },
} as const;

/** Mean square of the log returns over blocks of `seconds`. */
function blockVariance(model: PathModel, grid: Grid, seconds: number): number {
  const paths = simulatePathModel(forecastRequest({ ...grid, numSimulations: 400 }), model);
  const points = grid.horizonSeconds / grid.stepSeconds + 1;
  const steps = seconds / grid.stepSeconds;
  let sum = 0;
  for (let row = 0; row < paths.length; row += points) {
    for (let from = 0; from + steps < points; from += steps) {
      sum += Math.log(paths[row + from + steps]! / paths[row + from]!) ** 2;
    }
  }
  return sum;
}

const ODD_GRIDS = [
  { horizonSeconds: 3600, stepSeconds: 300 },
  { horizonSeconds: 3600, stepSeconds: 30 },
  { horizonSeconds: 120, stepSeconds: 60 },
];

describe("recalibrate", () => {
  it("multiplies the standard deviation of simulated returns over every listed length by its factor", () => {
    for (const horizon of ["24h", "1h"] as const) {
      const grid = GRIDS[horizon];
      // Two minutes do not nest with five: the model's own length gives way to a correlation.
      const own = horizon === "1h" ? [{ seconds: 120, ratio: 0.99 }] : [{ seconds: 1800, ratio: 0.95 }];
      const model = pathModel(grid, {
        nu: 1000,
        latent: { tau: 0, halfLifeSeconds: 1 },
        varianceRatios: own,
        rankMatched: false,
      });
      const factors = FACTOR_LENGTHS[horizon].map((seconds, i) => ({
        seconds,
        factor: [1.1, 1.07, 1.02, 0.97, 0.93, 0.95][i]!,
      }));
      const corrected = recalibrate(model, factors, grid.stepSeconds);
      for (const { seconds, factor } of factors) {
        const ratio = Math.sqrt(blockVariance(corrected, grid, seconds) / blockVariance(model, grid, seconds));
        // Common shocks: what is left of the noise is that of the parts that the ratios weigh differently.
        assert.ok(Math.abs(ratio / factor - 1) < 0.015, `${horizon} ${seconds} s: ${ratio} for ${factor}`);
      }
    }
  });

  it("meets the lengths of a competition at other steps, as far as they nest", () => {
    const factors = FACTOR_LENGTHS["1h"].map((seconds, i) => ({
      seconds,
      factor: [1.1, 1.07, 1, 0.97, 0.95, 0.95][i]!,
    }));
    for (const [horizonSeconds, stepSeconds] of [
      [3600, 30],
      [120, 60],
      [3600, 300],
    ] as const) {
      const grid = { horizonSeconds, stepSeconds };
      const model = pathModel(grid, { nu: 1000, latent: { tau: 0, halfLifeSeconds: 1 }, rankMatched: false });
      const corrected = recalibrate(model, factors, stepSeconds);
      for (const { seconds, factor } of factors) {
        const isMet =
          seconds >= stepSeconds && seconds <= horizonSeconds && (seconds !== 120 || horizonSeconds === 120);
        if (!isMet) continue;
        const ratio = Math.sqrt(blockVariance(corrected, grid, seconds) / blockVariance(model, grid, seconds));
        assert.ok(Math.abs(ratio / factor - 1) < 0.03, `${stepSeconds} s: ${seconds} s: ${ratio} for ${factor}`);
      }
    }
  });

  it("changes nothing without factors, and only the steps' sigmas where all factors are equal", () => {
    const model = pathModel(GRIDS["24h"]);
    assert.deepEqual(recalibrate(model, [], 300), model);
    const equal = recalibrate(
      model,
      [300, 1800].map((seconds) => ({ seconds, factor: 1.1 })),
      300,
    );
    assert.deepEqual(equal, { ...model, stepSigmas: model.stepSigmas.map((sigma) => sigma * 1.1) });
  });

  it("gives a model that can be simulated, whatever the bounded factors and grids", () => {
    const factor = fc.double({ min: 0.85, max: 1.18, noNaN: true });
    const lengths = fc.subarray([60, 120, 300, 900, 1800, 3600, 10_800, 86_400]);
    const grid = fc.constantFrom(...Object.values(GRIDS), ...ODD_GRIDS);
    fc.assert(
      fc.property(grid, lengths, fc.array(factor, { minLength: 8, maxLength: 8 }), (asked, seconds, values) => {
        const factors = seconds.map((length, i) => ({ seconds: length, factor: values[i]! }));
        const corrected = recalibrate(pathModel(asked, { rankMatched: false }), factors, asked.stepSeconds);
        const paths = simulatePathModel(forecastRequest({ ...asked, numSimulations: 2 }), corrected);
        return paths.every((price) => price > 0 && Number.isFinite(price));
      }),
      { numRuns: 60 },
    );
  });

  it("interpolates factors in log length and holds them beyond the ends", () => {
    const factors = [
      { seconds: 60, factor: 1.1 },
      { seconds: 960, factor: 0.9 },
    ];
    assert.equal(factorAt(factors, 30), 1.1);
    assert.equal(factorAt(factors, 960), 0.9);
    assert.equal(factorAt(factors, 9600), 0.9);
    assert.ok(Math.abs(factorAt(factors, 240) - Math.sqrt(1.1 * 0.9)) < 1e-12);
    assert.equal(factorAt([], 60), 1);
    assert.deepEqual(appliedFactors({ engine: "baseline" }), []);
    assert.equal(appliedFactors({ recalibration: factors }), factors);
  });
});
