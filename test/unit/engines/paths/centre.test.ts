import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { PathModel } from "../../../../src/engines/path-model.ts";
import { simulatePathModel } from "../../../../src/engines/paths/simulate.ts";
import { forecastRequest } from "../../../support/forecast-inputs.ts";
import { pathModel } from "../../../support/path-models.ts";

const DAY = { horizonSeconds: 86_400, stepSeconds: 300 };
const HOUR = { horizonSeconds: 3600, stepSeconds: 60 };
const PATHS = 60;

function paths(grid: typeof DAY, changes: Partial<PathModel>): Float64Array {
  const request = forecastRequest({ ...grid, numSimulations: PATHS, seed: "centre" });
  return simulatePathModel(request, pathModel(grid, changes)).slice();
}

const CASES = [DAY, HOUR].flatMap((grid) => [true, false].map((rankMatched) => ({ grid, rankMatched })));

describe("path model: a centre", () => {
  it("of zeros changes no byte, matched or not, with zeros or without", () => {
    for (const { grid, rankMatched } of CASES) {
      const steps = grid.horizonSeconds / grid.stepSeconds;
      for (const zeroShare of [0, 0.3]) {
        const none = paths(grid, { rankMatched, zeroShare });
        assert.deepEqual(paths(grid, { rankMatched, zeroShare, centre: new Array<number>(steps).fill(0) }), none);
        assert.deepEqual(paths(grid, { rankMatched, zeroShare, centre: undefined }), none);
      }
    }
  });

  it("moves every path by exp of its sum and nothing else", () => {
    const drift = fc.double({ min: -1e-3, max: 1e-3, noNaN: true });
    for (const { grid, rankMatched } of CASES) {
      const steps = grid.horizonSeconds / grid.stepSeconds;
      const none = paths(grid, { rankMatched });
      fc.assert(
        fc.property(fc.array(drift, { minLength: steps, maxLength: steps }), (centre) => {
          const moved = paths(grid, { rankMatched, centre });
          const sums = [0];
          for (const one of centre) sums.push(sums.at(-1)! + one);
          moved.forEach((price, at) => {
            const expected = none[at]! * Math.exp(sums[at % (steps + 1)]!);
            assert.ok(Math.abs(price / expected - 1) < 1e-12);
          });
        }),
        { numRuns: 5 },
      );
    }
  });

  it("leaves steps without trade alone and comes with the next trade", () => {
    const steps = 288;
    const centre = Array.from({ length: steps }, (_, step) => 1e-4 * Math.sin(step / 30) + 1e-5);
    for (const rankMatched of [true, false]) {
      const none = paths(DAY, { zeroShare: 0.4, rankMatched });
      const moved = paths(DAY, { zeroShare: 0.4, rankMatched, centre });
      let still = 0;
      for (let path = 0; path < PATHS; path++) {
        let sum = 0;
        for (let step = 0; step < steps; step++) {
          const at = path * (steps + 1) + step;
          sum += centre[step]!;
          if (none[at + 1] === none[at]) {
            still++;
            assert.equal(moved[at + 1], moved[at]);
          } else {
            assert.ok(Math.abs(moved[at + 1]! / (none[at + 1]! * Math.exp(sum)) - 1) < 1e-12);
          }
        }
      }
      assert.ok(still > 0.2 * PATHS * steps, String(still));
    }
  });

  it("is refused where it is of another length, or no number", () => {
    for (const centre of [[0], [...new Array<number>(287).fill(0), NaN], new Array<number>(289).fill(0)]) {
      assert.throws(() => paths(DAY, { centre }), RangeError);
    }
  });
});
