import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { leaderboard, quantile, scoreField, softmax, type ScoredField } from "../../../src/scoring/leaderboard.ts";
import type { AssetSymbol } from "../../../src/market/assets.ts";
import { unixSeconds } from "../../../src/units.ts";

const COMPETITION = { windowDays: 10, softmaxBeta: -0.15 };
const DAY = 86_400;
const NOW = unixSeconds(1_790_000_000);

function field(asset: AssetSymbol, ageSeconds: number, scores: Record<string, number>): ScoredField {
  return { asset, scoredAt: unixSeconds(NOW - ageSeconds), scores: new Map(Object.entries(scores)) };
}

describe("scoreField", () => {
  it("subtracts the best and charges misses the 95th percentile", () => {
    // Ranks 0 … 4 of 10, 20, 30, 40, 50: the 95th percentile lies at rank 3.8.
    assert.deepEqual(scoreField([30, -1, 10, 50, 20, 40]), {
      relative: [20, 38, 0, 40, 10, 30],
      missScore: 48,
      bestScore: 10,
      capped: [false, false, false, false, false, false],
    });
  });

  it("clips above ten medians and keeps clipped scores out of the miss score", () => {
    const scored = scoreField([10, 10, 10, 1e9, -1])!;
    assert.deepEqual(scored.relative, [0, 0, 0, 90, 0]);
    assert.deepEqual(scored.capped, [false, false, false, true, false]);
    assert.equal(scored.missScore, 10);
  });

  it("does not cap where the median is zero", () => {
    assert.deepEqual(scoreField([0, 0, 7])!.relative, [0, 0, 7]);
  });

  it("does not count a prompt that nobody answered", () => {
    assert.equal(scoreField([-1, -1]), null);
    assert.equal(scoreField([]), null);
  });

  it("has a best of 0, keeps the order of answers and charges a miss less than the worst", () => {
    const score = fc.oneof(fc.constant(-1), fc.double({ min: 0, max: 1e6, noNaN: true }));
    fc.assert(
      fc.property(fc.array(score, { minLength: 1 }), (scores) => {
        const scored = scoreField(scores);
        if (!scored) return;
        assert.equal(Math.min(...scored.relative), 0);
        const worst = Math.max(...scored.relative);
        for (const [i, a] of scores.entries()) {
          assert.ok(scored.relative[i]! >= 0 && scored.relative[i]! <= worst);
          for (const [j, b] of scores.entries()) {
            if (a !== -1 && a < b) assert.ok(scored.relative[i]! <= scored.relative[j]!);
          }
        }
      }),
    );
  });
});

describe("quantile", () => {
  it("interpolates linearly", () => {
    assert.equal(quantile([4, 1, 3, 2], 0.5), 2.5);
    assert.equal(quantile([7], 0.95), 7);
    assert.equal(quantile([0, 10], 0), 0);
    assert.equal(quantile([0, 10], 1), 10);
  });
});

describe("softmax", () => {
  it("gives exp(beta · score), normalised", () => {
    const [a, b] = softmax([0, Math.LN2 / 0.15], -0.15);
    assert.ok(Math.abs(a! - 2 / 3) < 1e-12 && Math.abs(b! - 1 / 3) < 1e-12);
  });

  it("sums to 1, ignores a shift and survives huge scores", () => {
    const scores = fc.array(fc.double({ min: 0, max: 1e9, noNaN: true }), { minLength: 1 });
    fc.assert(
      fc.property(scores, (values) => {
        const weights = softmax(values, -0.3);
        assert.ok(Math.abs(weights.reduce((a, b) => a + b, 0) - 1) < 1e-12);
      }),
    );
    assert.deepEqual(softmax([1e9, 1e9 + 5000], -0.3), [1, 0]);
    assert.deepEqual(softmax([], -0.3), []);
  });
});

describe("leaderboard", () => {
  it("averages relative scores, weighted by asset, over the window", () => {
    const standings = leaderboard(
      [
        field("BTC", 0, { a: 10, b: 12 }),
        field("SP500", DAY, { a: 9, b: 8 }),
        // Scored exactly one window ago and in the future: both outside.
        field("BTC", 10 * DAY, { a: 1, b: 1000 }),
        field("BTC", -1, { a: 1, b: 1000 }),
      ],
      COMPETITION,
      NOW,
    );
    const sp500 = 3.437935601155441;
    assert.deepEqual(
      standings.map(({ miner }) => miner),
      ["b", "a"],
    );
    assert.ok(Math.abs(standings[0]!.smoothedScore - 2 / (1 + sp500)) < 1e-12);
    assert.ok(Math.abs(standings[1]!.smoothedScore - sp500 / (1 + sp500)) < 1e-12);
    const ratio = Math.exp(0.15 * (standings[1]!.smoothedScore - standings[0]!.smoothedScore));
    assert.ok(Math.abs(standings[0]!.weight / standings[1]!.weight - ratio) < 1e-12);
  });

  it("charges the miss score for a prompt not answered, also before a miner joined", () => {
    const standings = leaderboard(
      [field("BTC", DAY, { a: 10, b: 20 }), field("BTC", 0, { a: 10, b: 20, late: 10 })],
      COMPETITION,
      NOW,
    );
    const late = standings.find(({ miner }) => miner === "late")!;
    assert.ok(Math.abs(late.smoothedScore - 9.5 / 2) < 1e-12);
  });

  it("is empty where no prompt counts", () => {
    assert.deepEqual(leaderboard([], COMPETITION, NOW), []);
    assert.deepEqual(leaderboard([field("BTC", 0, { a: -1 })], COMPETITION, NOW), []);
  });
});
