import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fitNoise, type NoiseFit } from "../../../../src/evaluation/calibrate/fit-noise.ts";
import { fitScale } from "../../../../src/evaluation/calibrate/fit-scale.ts";
import type { ScaleSamples } from "../../../../src/evaluation/calibrate/fit-types.ts";
import { DAY, HOUR, NORMAL, samplesOf, type Truth } from "./scale-samples.ts";

const OPTIONS = { knotSeconds: [0, 3540], ratioSeconds: [300], shape: NORMAL, seed: 1 };

function hours(changes: Partial<Truth> = {}): ScaleSamples {
  const level = (features: readonly number[]): number => features[0]! + features[1]!;
  const varianceRatios = [{ seconds: 300, ratio: 0.9 }];
  return samplesOf(HOUR, { count: 800, level, shape: NORMAL, varianceRatios, seed: "noise", ...changes });
}

function noiseOf(samples: ScaleSamples, options = OPTIONS): NoiseFit | null | undefined {
  return fitNoise([samples], fitScale([samples], options), options).get(samples.asset);
}

describe("the fit of MA(1) noise", () => {
  for (const truth of [-0.15, 0.05]) {
    it(`finds a lag-1 autocorrelation of ${truth} beside variance ratios that say otherwise`, () => {
      const { lagOneAutocorrelation, estimate } = noiseOf(hours({ lagOneAutocorrelation: truth }))!;
      // 24,000 returns of two minutes: CRPS tells their scale to 1 / sqrt(2 · 24,000) or a little worse.
      assert.ok(estimate.standardError > 0.005 && estimate.standardError < 0.02, `${estimate.standardError}`);
      assert.ok(Math.abs(lagOneAutocorrelation - truth) < 4 * estimate.standardError, `${lagOneAutocorrelation}`);
    });
  }

  it("keeps what the ratios imply where the data say nothing else", () => {
    // Each pair of a block's five minutes has correlation -.1 / 4; every fifth pair of minutes is of two blocks.
    const { lagOneAutocorrelation, estimate } = noiseOf(hours({ seed: "plain" }))!;
    const implied = 1 - (0.1 / 4) * 0.8;
    const kept = 1 + lagOneAutocorrelation;
    assert.ok(Math.abs(kept - implied) <= Math.abs(estimate.ratio - implied));
    assert.ok(Math.abs(kept - implied) < 2 * estimate.standardError, `${kept}`);
  });

  it("says nothing of few prompts, and nothing where two steps are not scored", () => {
    assert.equal(noiseOf(hours({ count: 99 })), null);
    const day = samplesOf(DAY, { count: 120, level: () => 0, shape: NORMAL, seed: "day" });
    assert.equal(noiseOf(day, { ...OPTIONS, knotSeconds: [0, 86_100], ratioSeconds: [1800] }), undefined);
  });
});
