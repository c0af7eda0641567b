import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ASSET_SYMBOLS } from "../../../../src/market/assets.ts";
import { COMPETITIONS } from "../../../../src/subnets/synth/competitions.ts";

describe("competitions", () => {
  it("cover every asset of the table", () => {
    const covered = new Set(COMPETITIONS.flatMap(({ assets, formerAssets }) => [...assets, ...formerAssets]));
    assert.deepEqual([...covered].sort(), [...ASSET_SYMBOLS].sort());
  });

  it("have the interval and block counts of the subnet's documentation", () => {
    for (const competition of COMPETITIONS) {
      const blocks = competition.intervals
        .filter(({ kind }) => kind !== "gap")
        .map(({ kind, seconds }) => [kind, competition.horizonSeconds / seconds]);
      const hour = [60, 30, 12, 4, 2].map((count) => ["change", count]);
      const day = [288, 48, 8].map((count) => ["change", count]);
      assert.deepEqual(blocks, [...(competition.name === "crypto-1h" ? hour : day), ["absolute", 1]]);
      assert.equal(
        competition.intervals.filter(({ kind }) => kind === "gap").length,
        competition.name === "crypto-1h" ? 12 : 0,
      );
      for (const { seconds } of competition.intervals) assert.equal(seconds % competition.stepSeconds, 0);
    }
  });

  it("give each volatility block length a third of the weight", () => {
    const [hour] = COMPETITIONS;
    for (const { seconds, weight } of hour!.volatilityBlocks) {
      assert.ok(Math.abs(weight * (hour!.horizonSeconds / seconds) - 5.25 / 3) < 1e-12);
    }
  });
});
