import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { COMPETITION_RULES } from "../../../src/scoring/intervals.ts";
import { pitByInterval, scorePrompt, type PromptScore } from "../../../src/scoring/prompt-score.ts";
import { promptOf } from "../../support/scoring-case.ts";

const HOUR_POINTS = 61;
const hourPath = fc.array(fc.double({ min: 50, max: 200, noNaN: true }), {
  minLength: HOUR_POINTS,
  maxLength: HOUR_POINTS,
});
const hourPaths = fc.array(hourPath, { minLength: 1, maxLength: 6 });

function scoreHour(paths: readonly (readonly number[])[], real: readonly (number | null)[]): PromptScore {
  return scorePrompt(promptOf(paths, real, 60), COMPETITION_RULES["1h"]);
}

function constantPath(price: number): number[] {
  return new Array<number>(HOUR_POINTS).fill(price);
}

describe("scorePrompt", () => {
  it("scores a perfect prediction 0", () => {
    fc.assert(
      fc.property(hourPath, (path) => {
        assert.equal(scoreHour([path, path], path).total, 0);
      }),
    );
  });

  it("does not depend on the order of the paths nor on their number of copies", () => {
    fc.assert(
      fc.property(hourPaths, hourPath, (paths, real) => {
        const { total } = scoreHour(paths, real);
        assert.ok(Math.abs(scoreHour(paths.toReversed(), real).total - total) <= 1e-12 * total);
        assert.ok(Math.abs(scoreHour([...paths, ...paths], real).total - total) <= 1e-12 * total);
      }),
    );
  });

  it("does not depend on the currency", () => {
    fc.assert(
      fc.property(hourPaths, hourPath, (paths, real) => {
        const cents = (path: readonly number[]): number[] => path.map((price) => price * 128);
        assert.equal(scoreHour(paths.map(cents), cents(real)).total, scoreHour(paths, real).total);
      }),
    );
  });

  it("is the sum of its intervals and weighted blocks", () => {
    fc.assert(
      fc.property(hourPaths, hourPath, (paths, real) => {
        const score = scoreHour(paths, real);
        const blocks = score.volatilityCrpsByBlock;
        const weighted =
          (5.25 / 3) * blocks["vol_60min"]! + (5.25 / 12) * blocks["vol_15min"]! + (5.25 / 36) * blocks["vol_5min"]!;
        const price = Object.values(score.priceCrpsByInterval).reduce((a, b) => a + b, 0);
        assert.ok(Math.abs(price + weighted - score.total) <= 1e-12 * score.total);
      }),
    );
  });

  it("leaves out what a missing observation touches, and only that", () => {
    const path = constantPath(100);
    const real = path.map((price, i) => price + (i % 3));
    const whole = scoreHour([path], real).priceCrpsByInterval;
    const without = scoreHour([path], real.with(7, NaN)).priceCrpsByInterval;
    const bps = (from: number, to: number): number => (Math.abs(real[to]! - real[from]!) / real[from]!) * 1e4;
    assert.ok(Math.abs(whole["1min"]! - bps(6, 7) - bps(7, 8) - without["1min"]!) < 1e-9);
    for (const name of ["2min", "5min", "60min_abs", "0_5min_gaps"]) assert.equal(without[name], whole[name]);
  });

  it("scores nothing where nothing was observed", () => {
    const score = scoreHour([constantPath(100)], new Array<null>(HOUR_POINTS).fill(null));
    assert.equal(score.total, 0);
    assert.equal(score.rejection, null);
    assert.equal(Object.keys(score.priceCrpsByInterval).length, 18);
  });

  it("rejects a price that is zero or not finite, and a score that overflows", () => {
    const path = constantPath(100);
    const real = path.with(60, 101);
    for (const [bad, rejection] of [
      [0, "ZERO_PRICE"],
      [-0, "ZERO_PRICE"],
      [NaN, "NOT_FINITE"],
      [Infinity, "NOT_FINITE"],
    ] as const) {
      const score = scoreHour([path, path.with(60, bad)], real);
      assert.deepEqual(score, {
        total: -1,
        priceCrps: -1,
        volatilityCrps: 0,
        priceCrpsByInterval: {},
        volatilityCrpsByBlock: {},
        rejection,
      });
    }
    assert.equal(scoreHour([path.with(30, 1e-300).with(31, 1e300)], real).rejection, "NOT_FINITE");
    assert.equal(scoreHour([path], path.with(3, 0)).rejection, "ZERO_PRICE");
  });

  it("refuses a matrix of another shape", () => {
    const prompt = { paths: new Float64Array(7), pathCount: 2, realised: new Float64Array(3), stepSeconds: 60 };
    assert.throws(() => scorePrompt(prompt, COMPETITION_RULES["1h"]), RangeError);
    assert.throws(() => scorePrompt({ ...prompt, pathCount: 0 }, COMPETITION_RULES["1h"]), RangeError);
    const long = {
      ...prompt,
      paths: new Float64Array(6).fill(1),
      stepSeconds: 120,
      realised: prompt.paths.slice(0, 3),
    };
    assert.throws(() => scorePrompt({ ...long, realised: long.realised.fill(1) }, COMPETITION_RULES["1h"]), RangeError);
  });
});

describe("pitByInterval", () => {
  it("has one value per observed block, in time order", () => {
    const up = Array.from({ length: HOUR_POINTS }, (_, i) => 100 + i);
    const paths = [constantPath(100), constantPath(100), constantPath(100)];
    const pits = pitByInterval(promptOf(paths, up.with(5, NaN), 60), COMPETITION_RULES["1h"]);
    assert.equal(pits["1min"]!.length, 58);
    assert.equal(pits["5min"]!.length, 10);
    assert.equal(pits["30min"]!.length, 2);
    assert.deepEqual(pits["60min_abs"], [3.5 / 4]);
    assert.deepEqual(pits["0_5min_gaps"], []);
    assert.deepEqual(pits["0_10min_gaps"], [3.5 / 4]);
    const down = up.toReversed();
    assert.deepEqual(pitByInterval(promptOf(paths, down, 60), COMPETITION_RULES["1h"])["30min"], [1 / 8, 1 / 8]);
  });
});
