import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { lagOne } from "../../../../src/evaluation/calibrate/return-noise.ts";
import { Random } from "../../../../src/math/random.ts";

/** r_t = s_t + theta s_{t-1}: lag-1 autocorrelation theta / (1 + theta²). */
function samples(theta: number, hole?: number): Parameters<typeof lagOne>[0] {
  const [count, steps] = [200, 60];
  const random = Random.fromSeed(`ma ${theta}`);
  const logPrices = new Float64Array(count * (steps + 1));
  const logSeasonal = new Float64Array(count * steps);
  for (let origin = 0; origin < count; origin++) {
    let [price, before] = [0, random.normal()];
    logPrices[origin * (steps + 1)] = 0;
    for (let step = 0; step < steps; step++) {
      // A rhythm and a level of its own, which must not be taken for dependence.
      const sigma = 1e-3 * (1 + (step % 7)) * (1 + (origin % 5));
      const shock = random.normal();
      price += (sigma * (shock + theta * before)) / Math.sqrt(1 + theta * theta);
      before = shock;
      logPrices[origin * (steps + 1) + step + 1] = step === hole ? NaN : price;
      logSeasonal[origin * steps + step] = Math.log(1 + (step % 7));
    }
  }
  return {
    ...{ asset: "BTC", assetClass: "crypto", horizonSeconds: 3600, stepSeconds: 60, featureCount: 0, count },
    ...{ startTimes: new Float64Array(count), features: new Float64Array(0), logPrices, logSeasonal },
  };
}

describe("lag-1 autocorrelation of base returns", () => {
  for (const theta of [-0.3, 0, 0.2]) {
    for (const hole of [undefined, 20]) {
      it(`finds that of MA(1) returns, theta ${theta}${hole === undefined ? "" : ", across holes"}`, () => {
        const found = lagOne(samples(theta, hole))!;
        const expected = theta / (1 + theta * theta);
        assert.ok(found.standardError > 0.005 && found.standardError < 0.015, `${found.standardError}`);
        assert.ok(Math.abs(found.correlation - expected) < 4 * found.standardError, `${found.correlation}`);
      });
    }
  }

  it("is unknown where nothing moved", () => {
    const still = samples(0);
    assert.equal(lagOne({ ...still, logPrices: new Float64Array(still.logPrices.length) }), null);
  });
});
