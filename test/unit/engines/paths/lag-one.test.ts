import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { PathModel } from "../../../../src/engines/path-model.ts";
import { simulatePathModel } from "../../../../src/engines/paths/simulate.ts";
import { forecastRequest } from "../../../support/forecast-inputs.ts";
import { pathModel } from "../../../support/path-models.ts";

const HOUR = { horizonSeconds: 3600, stepSeconds: 60 };
const STEPS = 60;
const RATIOS = [
  { seconds: 300, ratio: 0.93 },
  { seconds: 900, ratio: 0.9 },
  { seconds: 3600, ratio: 0.88 },
];

/** Log returns, row-major [path, step]. */
function returnsOf(model: PathModel, numSimulations: number): Float64Array {
  const paths = simulatePathModel(forecastRequest({ ...HOUR, numSimulations }), model);
  const returns = new Float64Array(numSimulations * STEPS);
  for (let path = 0; path < numSimulations; path++) {
    for (let step = 0; step < STEPS; step++) {
      const at = path * (STEPS + 1) + step;
      returns[path * STEPS + step] = Math.log(paths[at + 1]! / paths[at]!);
    }
  }
  return returns;
}

/** Mean over the blocks that a competition scores of variance over the sum of the steps' variances. */
function measuredRatio(model: PathModel, returns: Float64Array, steps: number): number {
  let [variance, uncorrelated] = [0, 0];
  for (let row = 0; row < returns.length; row += STEPS) {
    for (let from = 0; from < STEPS; from += steps) {
      let sum = 0;
      for (let step = from; step < from + steps; step++) {
        sum += returns[row + step]!;
        uncorrelated += model.stepSigmas[step]! ** 2;
      }
      variance += sum * sum;
    }
  }
  return variance / uncorrelated;
}

function noisy(lagOneAutocorrelation: number, changes: Partial<PathModel> = {}): PathModel {
  const plain = { nu: 400, latent: { tau: 0, halfLifeSeconds: 1 }, varianceRatios: RATIOS, rankMatched: false };
  return pathModel(HOUR, { ...plain, lagOneAutocorrelation, ...changes });
}

function assertRatios(model: PathModel, expected: Readonly<Record<number, number>>, tolerance: number): void {
  const returns = returnsOf(model, 20_000);
  for (const [steps, ratio] of Object.entries(expected)) {
    const measured = measuredRatio(model, returns, Number(steps));
    // Longer blocks are fewer: their sampling error grows with the root of their length.
    const allowed = tolerance * Math.sqrt(Number(steps));
    assert.ok(Math.abs(measured - ratio) < allowed, `${steps} steps: expected ${ratio} ± ${allowed}, was ${measured}`);
  }
}

describe("lag-1 autocorrelation", () => {
  it("gives two steps the variance ratio 1 + rho, and every other length its own", () => {
    for (const rho of [-0.15, -0.05, 0.02])
      assertRatios(noisy(rho), { 1: 1, 2: 1 + rho, 5: 0.93, 15: 0.9, 60: 0.88 }, 0.005);
  });

  it("holds with heavy tails and latent volatility", () => {
    const model = noisy(-0.12, { nu: 5, latent: { tau: 0.4, halfLifeSeconds: 1200 } });
    assertRatios(model, { 1: 1, 2: 0.88, 5: 0.93, 15: 0.9, 60: 0.88 }, 0.02);
  });

  it("holds without variance ratios, where the horizon keeps its variance", () => {
    assertRatios(noisy(-0.2, { varianceRatios: [] }), { 1: 1, 2: 0.8, 60: 1 }, 0.005);
  });

  it("keeps steps that did not trade at zero, and what trades near its ratios", () => {
    const model = noisy(-0.12, { zeroShare: 0.3 });
    const returns = returnsOf(model, 20_000);
    const zeros = returns.filter((value) => Math.abs(value) < 1e-12).length / returns.length;
    assert.ok(Math.abs(zeros - 0.3) < 0.005, `zeros ${zeros}`);
    assertRatios(model, { 1: 1, 2: 0.88, 5: 0.93 }, 0.02);
  });

  it("is that of adjacent steps, not of distant ones", () => {
    // VR(5) of an MA(1) with rho = -.15.
    const varianceRatios = [{ seconds: 300, ratio: 1 - 2 * 0.15 * 0.8 }];
    const model = noisy(-0.15, { stepSigmas: Array<number>(STEPS).fill(1e-3), varianceRatios });
    const returns = returnsOf(model, 20_000);
    const correlation = (lag: number): number => {
      let sum = 0;
      for (let row = 0; row < returns.length; row += STEPS) {
        for (let step = lag; step < STEPS; step++) sum += returns[row + step]! * returns[row + step - lag]!;
      }
      return sum / ((returns.length * (STEPS - lag)) / STEPS) / 1e-6;
    };
    assert.ok(Math.abs(correlation(1) + 0.15) < 0.005, `lag 1: ${correlation(1)}`);
    for (const lag of [2, 3, 6, 20]) {
      assert.ok(Math.abs(correlation(lag)) < 0.03, `lag ${lag}: ${correlation(lag)}`);
    }
  });

  it("that nobody can reach gives the nearest, and steps that cannot move stay", () => {
    assertRatios(noisy(-0.49), { 5: 0.93, 60: 0.88 }, 0.01);
    const closed = noisy(-0.1, { stepSigmas: Array.from({ length: STEPS }, (_, i) => (i % 20 < 7 ? 0 : 1e-3)) });
    const returns = returnsOf(closed, 50);
    assert.ok(returns.every((value, i) => (i % 20 < 7 ? Math.abs(value) < 1e-12 : Number.isFinite(value))));
  });

  it("leaves paths finite and positive, whatever the model", () => {
    const models = fc.record({
      rho: fc.double({ min: -0.45, max: 0.45, noNaN: true }),
      ratio: fc.double({ min: 0.2, max: 3, noNaN: true }),
      zeroShare: fc.constantFrom(0, 0.2, 0.9),
      rankMatched: fc.boolean(),
      sigmas: fc.array(fc.constantFrom(0, 1e-6, 1e-3, 0.05), { minLength: STEPS, maxLength: STEPS }),
    });
    fc.assert(
      fc.property(models, ({ rho, ratio, zeroShare, rankMatched, sigmas }) => {
        const model = noisy(rho, {
          zeroShare,
          rankMatched,
          stepSigmas: sigmas,
          varianceRatios: [{ seconds: 300, ratio }],
        });
        const paths = simulatePathModel(forecastRequest({ ...HOUR, numSimulations: 60 }), model);
        return paths.every((price) => price > 0 && Number.isFinite(price));
      }),
      { numRuns: 40 },
    );
  });
});
