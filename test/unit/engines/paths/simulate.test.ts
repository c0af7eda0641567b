import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { ForecastRequest } from "../../../../src/engines/engine.ts";
import type { PathModel } from "../../../../src/engines/path-model.ts";
import { blockLaws } from "../../../../src/engines/paths/block-laws.ts";
import { scoredBlocks } from "../../../../src/engines/paths/rank-match.ts";
import { returnsOf } from "../../../../src/engines/paths/returns.ts";
import { simulatePathModel } from "../../../../src/engines/paths/simulate.ts";
import { ewmaInput, forecastRequest } from "../../../support/forecast-inputs.ts";
import { pathModel } from "../../../support/path-models.ts";

const DAY = { horizonSeconds: 86_400, stepSeconds: 300 };
const HOUR = { horizonSeconds: 3600, stepSeconds: 60 };

function assertNear(actual: number, expected: number, tolerance: number): void {
  assert.ok(Math.abs(actual - expected) <= tolerance, `expected ${expected} ± ${tolerance}, was ${actual}`);
}

/** Log returns over [from, to) steps, one per path. */
function returnsOver(paths: Float64Array, pathCount: number, span: { from: number; to: number }): Float64Array {
  const points = paths.length / pathCount;
  return Float64Array.from({ length: pathCount }, (_, path) =>
    Math.log(paths[path * points + span.to]! / paths[path * points + span.from]!),
  );
}

function meanSquare(values: Float64Array): number {
  return values.reduce((sum, x) => sum + x * x, 0) / values.length;
}

/** Mean over blocks of length `steps` (a last partial one included) of variance over the sum of the steps' variances. */
function measuredRatio(request: ForecastRequest, model: PathModel, steps: number): number {
  const paths = simulatePathModel(request, model);
  const count = model.stepSigmas.length;
  let variance = 0;
  let uncorrelated = 0;
  for (let from = 0; from < count; from += steps) {
    const to = Math.min(from + steps, count);
    variance += meanSquare(returnsOver(paths, request.numSimulations, { from, to }));
    uncorrelated += model.stepSigmas.slice(from, to).reduce((sum, sigma) => sum + sigma * sigma, 0);
  }
  return variance / uncorrelated;
}

describe("path model: plain paths", () => {
  it("meets the variance ratio at every length with unequal sigmas, and keeps each step's variance", () => {
    const numSimulations = 12_000;
    for (const tau of [0, 0.35]) {
      const model = pathModel(DAY, { nu: 400, latent: { tau, halfLifeSeconds: 14_400 }, rankMatched: false });
      const request = forecastRequest({ ...DAY, numSimulations });
      // Five standard errors: sqrt(2 · kurtosis factor / (blocks · paths)).
      assertNear(measuredRatio(request, model, 1), 1, 0.012);
      assertNear(measuredRatio(request, model, 6), 0.95, 0.02);
      assertNear(measuredRatio(request, model, 36), 0.89, 0.04);
      assertNear(measuredRatio(request, model, 288), 0.85, 0.08);
    }
  });

  it("meets ratios far from 1 in both directions, at one level and with a last block cut off", () => {
    const grid = { horizonSeconds: 6 * 300, stepSeconds: 300 };
    const request = forecastRequest({ ...grid, numSimulations: 60_000 });
    for (const ratio of [0.4, 1.6]) {
      const model = pathModel(grid, {
        stepSigmas: Array<number>(6).fill(1e-3),
        varianceRatios: [{ seconds: 1200, ratio }],
        latent: { tau: 0, halfLifeSeconds: 1 },
        nu: 400,
        rankMatched: false,
      });
      const paths = simulatePathModel(request, model);
      const over = (from: number, to: number): number =>
        meanSquare(returnsOver(paths, 60_000, { from, to })) / ((to - from) * 1e-6);
      assertNear(over(0, 4), ratio, 0.03 * ratio);
      // Two of four steps: half-way from 1 to the ratio.
      assertNear(over(4, 6), (1 + ratio) / 2, 0.03);
      for (let step = 0; step < 6; step++) assertNear(over(step, step + 1), 1, 0.03);
    }
  });

  it("starts the latent volatility from its stationary law: every step has its variance and the same kurtosis", () => {
    const numSimulations = 60_000;
    const tau = 0.4;
    const model = pathModel(HOUR, {
      nu: 400,
      latent: { tau, halfLifeSeconds: 600 },
      varianceRatios: [],
      rankMatched: false,
    });
    const paths = simulatePathModel(forecastRequest({ ...HOUR, numSimulations }), model);
    const scaled = (step: number): Float64Array =>
      returnsOver(paths, numSimulations, { from: step, to: step + 1 }).map((x) => (x / model.stepSigmas[step]!) ** 2);
    const product = (a: Float64Array, b: Float64Array): number =>
      a.reduce((sum, x, i) => sum + x * b[i]!, 0) / a.length;
    for (const step of [0, 1, 20, 59]) {
      const own = scaled(step);
      assertNear(own.reduce((sum, x) => sum + x, 0) / numSimulations, 1, 0.04);
      // E z⁴ · E e^(4h - 4tau²) = 3 · e^(4 tau²).
      assertNear(product(own, own), 3 * Math.exp(4 * tau * tau), 0.8);
    }
    // E r²_j r²_{j+10}: log-variances with covariance 4 tau² / 2 at one half-life.
    assertNear(product(scaled(20), scaled(30)), Math.exp(2 * tau * tau), 0.12);
  });

  it("draws the share of exact zeros that the model names, and keeps its variance", () => {
    const numSimulations = 2000;
    for (const rankMatched of [false, true]) {
      const model = pathModel(DAY, { zeroShare: 0.4, rankMatched });
      const request = forecastRequest({ ...DAY, numSimulations });
      const paths = simulatePathModel(request, model);
      let zeros = 0;
      for (let i = 0; i < paths.length - 1; i++) if ((i + 1) % 289 !== 0 && paths[i] === paths[i + 1]) zeros++;
      assertNear(zeros / (288 * numSimulations), 0.4, 0.005);
      // Mid-bin quantiles lack what lies beyond the outermost: 2 % of the variance of such heavy tails.
      assertNear(measuredRatio(request, model, 1), rankMatched ? 0.98 : 1, 0.03);
      assertNear(measuredRatio(request, model, 36), 0.89, 0.08);
    }
  });

  it("refuses models outside their bounds", () => {
    const request = forecastRequest({ ...HOUR, numSimulations: 2 });
    for (const changes of [
      { anchorPrice: 0 },
      { stepSigmas: [1e-3] },
      { stepSigmas: Array<number>(60).fill(NaN) },
      { nu: 2 },
      { zeroShare: 1 },
      { latent: { tau: -1, halfLifeSeconds: 60 } },
      { latent: { tau: 1, halfLifeSeconds: 0 } },
      { varianceRatios: [{ seconds: 60, ratio: 1 }] },
      { varianceRatios: [{ seconds: 90, ratio: 1 }] },
      { varianceRatios: [{ seconds: 300, ratio: 0 }] },
      {
        varianceRatios: [
          { seconds: 120, ratio: 1 },
          { seconds: 300, ratio: 1 },
        ],
      },
    ]) {
      assert.throws(() => simulatePathModel(request, pathModel(HOUR, changes)), RangeError, JSON.stringify(changes));
    }
  });

  it("answers any grid and number of paths with positive finite prices, one answer per seed", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(1, 2, 3, 10, 49, 50, 137),
        fc.constantFrom(60, 300, 420, 1800),
        fc.integer({ min: 1, max: 40 }),
        fc.record({
          nu: fc.constantFrom(2.01, 4, 150),
          zeroShare: fc.constantFrom(0, 0.3, 0.99),
          tau: fc.constantFrom(0, 0.3, 2),
          sigma: fc.constantFrom(0, 1e-4, 0.3),
          ratio: fc.constantFrom(0.05, 0.9, 1.9),
        }),
        (numSimulations, stepSeconds, steps, { nu, zeroShare, tau, sigma, ratio }) => {
          const grid = { stepSeconds, horizonSeconds: stepSeconds * steps };
          const request = forecastRequest({ ...grid, numSimulations });
          const model = pathModel(grid, {
            nu,
            zeroShare,
            latent: { tau, halfLifeSeconds: 3600 },
            stepSigmas: Array.from({ length: steps }, (_, i) => (i === 1 ? 0 : sigma)),
            varianceRatios: [{ seconds: 2 * stepSeconds, ratio }],
          });
          const paths = simulatePathModel(request, model);
          assert.equal(paths.length, numSimulations * (steps + 1));
          assert.ok(paths.every((price) => price > 0 && Number.isFinite(price)));
          for (let path = 0; path < numSimulations; path++) assert.equal(paths[path * (steps + 1)], 100_000);
          assert.deepEqual(simulatePathModel(request, model), paths);
        },
      ),
      { numRuns: 30 },
    );
  });

  it("lets the seed decide", () => {
    const request = forecastRequest({ ...HOUR, numSimulations: 60 });
    const other = { ...request, seed: "other" };
    assert.notDeepEqual(simulatePathModel(request, pathModel(HOUR)), simulatePathModel(other, pathModel(HOUR)));
  });
});

describe("steps far beyond their sigma", () => {
  const request = forecastRequest({ numSimulations: 200 });
  const grid = (model: PathModel) => ({
    stepSeconds: 300,
    variances: Float64Array.from(model.stepSigmas, (sigma) => sigma * sigma),
  });

  it("that the model does not explain are drawn again, and said", (test) => {
    const { model } = ewmaInput({ rankMatched: true });
    const expected = simulatePathModel(request, model);
    const warned = test.mock.method(process, "emitWarning", () => undefined);
    const lengths = [...new Set(scoredBlocks(request).map(({ steps }) => steps))];
    // What the request's next simulation takes from memory, damaged: every quantile is in the last bucket.
    const remembered = blockLaws(request, model, { draw: returnsOf(model, grid(model)), grid: grid(model), lengths });
    for (const { cumulative } of remembered.values()) cumulative.fill(0, 1, cumulative.length - 1);
    for (let time = 0; time < 2; time++) {
      assert.deepEqual(simulatePathModel(request, model), expected);
      assert.equal(warned.mock.callCount(), 1);
    }
    assert.match(
      JSON.stringify(warned.mock.calls[0]!.arguments),
      /^\["Steps of \d+\.\d+ times their sigma were drawn again and are 0\.\d+/,
    );
  });

  it("that the model asks for are its own", (test) => {
    const warned = test.mock.method(process, "emitWarning", () => undefined);
    const { model } = ewmaInput({ varianceRatios: [{ seconds: 86_400, ratio: 1e6 }] });
    const paths = simulatePathModel(request, model);
    assert.ok(meanSquare(returnsOver(paths, 200, { from: 0, to: 1 })) > (5 * model.stepSigmas[0]!) ** 2);
    assert.equal(warned.mock.callCount(), 0);
  });
});
