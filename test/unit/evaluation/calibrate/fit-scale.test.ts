import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { OperationalError } from "../../../../src/errors.ts";
import { pricePlan } from "../../../../src/evaluation/calibrate/fit-plan.ts";
import { countIndependent, fitScale } from "../../../../src/evaluation/calibrate/fit-scale.ts";
import type { FitOptions, ScaleSamples } from "../../../../src/evaluation/calibrate/fit-types.ts";
import { priceLoss } from "../../../../src/evaluation/calibrate/price-objective.ts";
import { HOUR, NORMAL, samplesOf, type Truth } from "./scale-samples.ts";

const OPTIONS: FitOptions = {
  knotSeconds: [0, 3540],
  ratioSeconds: [300, 3600],
  shape: { nu: 5, latent: { tau: 0.3, halfLifeSeconds: 1200 } },
  seed: 1,
};

const TRUTH = {
  shape: OPTIONS.shape,
  varianceRatios: [
    { seconds: 300, ratio: 0.9 },
    { seconds: 3600, ratio: 0.8 },
  ],
};

/** Intercepts .3 and -.1; betas .8 at the first step, .2 at the last, and the other way round. */
function level(features: readonly number[], lead: number, shift = 0): number {
  return 0.3 - 0.4 * lead + shift + (0.8 - 0.6 * lead) * features[0]! + (0.2 + 0.6 * lead) * features[1]!;
}

function asset(changes: Partial<Truth> & { count: number; shift?: number }): ScaleSamples {
  const { shift = 0, ...rest } = changes;
  return samplesOf(HOUR, {
    ...TRUTH,
    seed: `fit ${rest.asset ?? ""}`,
    level: (x, lead) => level(x, lead, shift),
    ...rest,
  });
}

function assertNear(found: number | undefined, wanted: number, tolerance: number, label = ""): void {
  assert.ok(found !== undefined && Math.abs(found - wanted) < tolerance, `${label} expected ${wanted}, was ${found}`);
}

describe("scale fit", () => {
  it("finds the scale that the prices were drawn from, per asset and pooled", () => {
    const both = [asset({ asset: "BTC", count: 900 }), asset({ asset: "ETH", count: 900, shift: 0.3 })];
    // Next to no ridges on betas: one wrong by .2 at one end costs less than the default ones, 1e-5 of the loss.
    const fit = fitScale(both, { ...OPTIONS, ridges: { intercept: 3, beta: 0.1, ratio: 0.1, smoothness: 0 } });
    // At its ends log sigma of an origin is known to about .4, for the latent volatility; 900 origins, features of sd .4.
    // Three standard errors.
    for (const [name, shift] of [
      ["BTC", 0],
      ["ETH", 0.3],
    ] as const) {
      const { intercepts, betas, varianceRatios, loss, origins } = fit.assets.get(name)!;
      assertNear(intercepts[0], 0.3 + shift, 0.06, name);
      assertNear(intercepts[1], -0.1 + shift, 0.06, name);
      [
        [0.8, 0.2],
        [0.2, 0.8],
      ].forEach((row, k) => {
        row.forEach((beta, j) => {
          assertNear(betas[k]![j], beta, 0.12, `${name} beta ${k} ${j}`);
        });
      });
      assertNear(varianceRatios[0]!.ratio, 0.9, 0.06);
      // One return of an hour per origin, with heavy tails: .05.
      assertNear(varianceRatios[1]!.ratio, 0.8, 0.15);
      assert.equal(origins, 900);
      // In sample a fit is below the truth.
      const own = both.find((one) => one.asset === name)!;
      const plan = pricePlan(HOUR, OPTIONS);
      const truth = {
        ...fit.assets.get(name)!,
        intercepts: [0.3 + shift, -0.1 + shift],
        betas: [
          [0.8, 0.2],
          [0.2, 0.8],
        ],
        varianceRatios: TRUTH.varianceRatios,
      };
      assert.ok(priceLoss(own, fit.assets.get(name)!, plan).meanBps < priceLoss(own, truth, plan).meanBps);
      // Log sigma has a variance of .12 that a constant cannot follow, at .25 each.
      assert.ok(loss < 0.98);
    }
    assertNear(fit.classes.get("crypto")!.intercepts[0], 0.45, 0.06, "class");
    assertNear(fit.loss, (fit.assets.get("BTC")!.loss + fit.assets.get("ETH")!.loss) / 2, 1e-12);
    // Each of the two is .15 from its class, at about .25 · .15².
    assert.ok(fit.classes.get("crypto")!.loss > fit.loss + 0.003);
  });

  it("gives a loss of 1 to what a constant sigma fits best", () => {
    const flat = samplesOf(HOUR, { count: 200, level: () => 0, shape: NORMAL, seed: "flat" });
    flat.logSeasonal.fill(0);
    flat.features.fill(0);
    const { loss } = fitScale([flat], { ...OPTIONS, knotSeconds: [0], ratioSeconds: [], shape: NORMAL }).assets.get(
      "BTC",
    )!;
    assertNear(loss, 1, 1e-6);
  });

  it("keeps an asset of few origins with its class, and the class with the others", () => {
    const many = asset({ asset: "BTC", count: 400 });
    const fitted = (count: number): { own: number; shared: number } => {
      const few = asset({ asset: "ETH", count, shift: 1.5 });
      const { assets, classes } = fitScale([many, few], OPTIONS);
      return { own: assets.get("ETH")!.intercepts[0]!, shared: classes.get("crypto")!.intercepts[0]! };
    };
    const [few, more] = [fitted(1), fitted(60)];
    assert.ok(few.own - few.shared < 0.4, JSON.stringify(few));
    assert.ok(few.shared < 0.5, JSON.stringify(few));
    // Sixty still give a sixth of the difference to 3 pseudo-origins.
    assertNear(more.own, 1.55, 0.15);
  });

  it("lets classes have levels of their own with common betas", () => {
    const { classes } = fitScale(
      [asset({ asset: "BTC", count: 200 }), asset({ asset: "XAU", assetClass: "commodity", count: 200, shift: -0.7 })],
      OPTIONS,
    );
    const [crypto, commodity] = [classes.get("crypto")!, classes.get("commodity")!];
    assertNear(crypto.intercepts[0]! - commodity.intercepts[0]!, 0.7, 0.1);
    assert.deepEqual(crypto.betas, commodity.betas);
  });

  it("is one function of samples and options, whatever it starts from", () => {
    const own = [asset({ asset: "BTC", count: 150 }), asset({ asset: "ETH", count: 80 })];
    const fit = fitScale(own, OPTIONS);
    assert.deepEqual(fitScale(own, OPTIONS), fit);
    const losses: number[] = [];
    const again = fitScale(own, { ...OPTIONS, start: fit, onProgress: (_, loss) => losses.push(loss) });
    assert.ok(again.iterations < 10 && again.iterations < fit.iterations && losses.length === again.iterations);
    assertNear(again.loss, fit.loss, 1e-5);
  });

  it("counts the origins it drops, does without assets that have none, and names what is missing where none has any", () => {
    const good = asset({ asset: "BTC", count: 60 });
    const holey = asset({ asset: "ETH", count: 60 });
    holey.features[2 * 7] = Infinity;
    holey.logPrices.fill(NaN, 61 * 20, 61 * 22);
    const frozen = asset({ asset: "SOL", count: 10 });
    frozen.logPrices.fill(3);
    const fit = fitScale([good, holey, frozen], OPTIONS);
    assert.deepEqual([...fit.droppedOrigins], [["BTC", 0], ["ETH", 3], ["SOL", 0]]); // prettier-ignore
    assert.equal(fit.assets.get("ETH")!.origins, 57);
    assert.equal(fit.assets.has("SOL"), false);
    assert.equal(fit.classes.get("crypto")!.origins, 117);
    for (const none of [[frozen], []]) {
      assert.throws(
        () => fitScale(none, OPTIONS),
        (error) => error instanceof OperationalError && error.code === "CALIBRATION_NO_ORIGINS",
      );
    }
  });

  it("counts origins a horizon apart", () => {
    assert.equal(countIndependent(Float64Array.of(0, 10, 3599, 3600, 7000, 7200, 90_000), 3600), 4);
    assert.equal(countIndependent(new Float64Array(0), 3600), 0);
  });
});
