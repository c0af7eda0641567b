import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { COMPETITION_RULES, intervalName, scoringRulesFor } from "../../../src/scoring/intervals.ts";
import { scorePrompt } from "../../../src/scoring/prompt-score.ts";

describe("scoringRulesFor", () => {
  it("gives the competitions' grids the competitions' rules", () => {
    assert.deepEqual(scoringRulesFor({ horizonSeconds: 86_400, stepSeconds: 300 }), COMPETITION_RULES["24h"]);
    assert.deepEqual(scoringRulesFor({ horizonSeconds: 3600, stepSeconds: 60 }), COMPETITION_RULES["1h"]);
  });

  it("keeps what fits another grid, with the absolute price at its end", () => {
    const names = ({ intervals }: ReturnType<typeof scoringRulesFor>): string[] => intervals.map(intervalName);
    assert.deepEqual(names(scoringRulesFor({ horizonSeconds: 43_200, stepSeconds: 1800 })), [
      "30min",
      "3hour",
      "12hour_abs",
    ]);
    const quarter = scoringRulesFor({ horizonSeconds: 900, stepSeconds: 300 });
    assert.deepEqual(names(quarter), ["5min", "15min", "15min_abs", "0_5min_gaps", "0_10min_gaps", "0_15min_gaps"]);
    assert.deepEqual(quarter.volatilityBlocks, [{ seconds: 900, weight: 5.25 / 12 }]);
    assert.deepEqual(names(scoringRulesFor({ horizonSeconds: 10, stepSeconds: 10 })), ["10s_abs"]);
  });

  it("gives rules that score any grid", () => {
    const grid = fc.record({
      stepSeconds: fc.integer({ min: 1, max: 100_000 }),
      steps: fc.integer({ min: 1, max: 50 }),
    });
    fc.assert(
      fc.property(grid, ({ stepSeconds, steps }) => {
        const realised = new Float64Array(steps + 1).map((_, i) => 100 + (i % 2));
        const prompt = { paths: new Float64Array(steps + 1).fill(100), pathCount: 1, realised, stepSeconds };
        const score = scorePrompt(prompt, scoringRulesFor({ horizonSeconds: steps * stepSeconds, stepSeconds }));
        assert.equal(score.rejection, null);
        assert.ok(Object.keys(score.priceCrpsByInterval).some((name) => name.endsWith("_abs")));
      }),
    );
  });
});
