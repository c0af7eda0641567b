import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { pricePlan } from "../../../../src/evaluation/calibrate/fit-plan.ts";
import { fitShape } from "../../../../src/evaluation/calibrate/fit-shape.ts";
import type { AssetScale, Shape, ShapeFitOptions } from "../../../../src/evaluation/calibrate/fit-types.ts";
import { evenly, volatilityLoss } from "../../../../src/evaluation/calibrate/volatility-objective.ts";
import { DAY, HOUR, NORMAL, samplesOf } from "./scale-samples.ts";

const HEAVY: Shape = { nu: 4, latent: { tau: 0.5, halfLifeSeconds: 1200 } };
const OPTIONS: ShapeFitOptions = {
  knotSeconds: [0, 3540],
  ratioSeconds: [],
  shape: { nu: 8, latent: { tau: 0.25, halfLifeSeconds: 1200 } },
  seed: 1,
  grid: { nu: [4, 1000], tau: [0, 0.5], halfLifeSeconds: [1200] },
  minOrigins: 100,
  maxSimulatedOrigins: 60,
};

/** The samples' own scale: no intercept, no features. */
const TRUE_SCALE: AssetScale = { intercepts: [0, 0], betas: [[0, 0], [0, 0]], varianceRatios: [], origins: 0, loss: 1 }; // prettier-ignore

describe("shape fit", () => {
  for (const [name, shape] of [
    ["heavy tails and latent volatility", HEAVY],
    ["the normal", NORMAL],
  ] as const) {
    it(`finds ${name} again in returns drawn from them, and lists what it tried`, () => {
      const own = samplesOf(HOUR, { count: 200, level: () => 0, shape, seed: "shape" });
      const found = fitShape([own], OPTIONS);
      assert.equal(found.fallback, null);
      assert.equal(found.shape.nu, shape.nu);
      assert.equal(found.shape.latent.tau, shape.latent.tau);
      const [first] = found.losses;
      assert.deepEqual(first?.shape, OPTIONS.shape);
      assert.ok(Math.abs(first.total - 1) < 1e-9 && first.volatilityLoss > 0.001 && first.priceLoss > 0.9);
      const best = found.losses.reduce((a, b) => (b.total < a.total ? b : a));
      assert.deepEqual(best.shape, found.shape);
      assert.equal(new Set(found.losses.map(({ shape }) => JSON.stringify(shape))).size, found.losses.length);
    });
  }

  it("keeps the given shape from too few independent origins, and says so", () => {
    const own = samplesOf(HOUR, { count: 120, level: () => 0, shape: HEAVY, seed: "few" });
    own.startTimes.forEach((time, i) => (own.startTimes[i] = Math.floor((time - own.startTimes[0]!) / 2)));
    for (const samples of [[own], []]) {
      const found = fitShape(samples, OPTIONS);
      assert.equal(found.shape, OPTIONS.shape);
      assert.deepEqual(found.losses, []);
      assert.match(found.fallback ?? "", /fewer than 100/);
    }
  });
});

describe("volatility loss", () => {
  it("is least at the true shape and scale, and the same for the same seed", () => {
    const own = samplesOf(HOUR, { count: 120, level: () => 0, shape: HEAVY, seed: "volatility" });
    own.logPrices[61 * 3] = NaN;
    const plan = pricePlan(HOUR, { ...OPTIONS, shape: HEAVY });
    const at = (shape: Shape, shift: number): number =>
      volatilityLoss(own, { ...TRUE_SCALE, intercepts: [shift, shift] }, plan, { shape, seed: 5, maxOrigins: 120 });
    const truth = at(HEAVY, 0);
    assert.equal(at(HEAVY, 0), truth);
    assert.ok(truth < at(NORMAL, 0));
    assert.ok(truth < at({ ...HEAVY, latent: { ...HEAVY.latent, tau: 0.1 } }, 0));
    assert.ok(truth < at(HEAVY, 0.4) && truth < at(HEAVY, -0.4));
  });

  it("is zero where the competition scores no volatility", () => {
    const own = samplesOf(DAY, { count: 1, level: () => 0, shape: NORMAL, seed: "day" });
    const plan = pricePlan(DAY, { ...OPTIONS, shape: NORMAL });
    assert.equal(volatilityLoss(own, TRUE_SCALE, plan, { shape: NORMAL, seed: 1, maxOrigins: 10 }), 0);
  });

  it("spreads a subsample evenly", () => {
    assert.deepEqual(evenly(3, 10), [0, 1, 2]);
    assert.deepEqual(evenly(100, 4), [12, 37, 62, 87]);
    assert.deepEqual(evenly(0, 4), []);
  });
});
