import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  comparePrompts,
  verdictOf,
  type Comparison,
  type PromptTotal,
} from "../../../../src/evaluation/promote/compare.ts";
import { addressed, addressedEntry, filesOf } from "../../../../src/evaluation/promote/model-files.ts";
import { ASSETS, type AssetSymbol } from "../../../../src/market/assets.ts";

const DAY = 86_400;

function prompt(asset: AssetSymbol, day: number, total: number, answered = true): PromptTotal {
  return { asset, start: day * DAY + 3600, total, answered };
}

describe("scores of two models on the same prompts", () => {
  it("stand in the ratio by which all of one are larger, and so do the ends of the interval", () => {
    const scores = fc.array(fc.double({ min: 1, max: 1e4, noNaN: true }), { minLength: 5, maxLength: 40 });
    fc.assert(
      fc.property(scores, fc.double({ min: 0.5, max: 2, noNaN: true }), (totals, factor) => {
        const current = totals.map((total, day) => prompt(day % 2 === 0 ? "BTC" : "NVDAX", day, total));
        const staged = current.map((own) => ({ ...own, total: own.total * factor }));
        const { ratio, low, high, prompts } = comparePrompts(staged, current, "test");
        assert.equal(prompts, totals.length);
        for (const value of [ratio, low, high]) assert.ok(Math.abs(value! / factor - 1) < 1e-12, String(value));
      }),
    );
  });

  it("weigh by the leaderboard's coefficients: 1 · 90 + w · 300 over 1 · 100 + w · 200", () => {
    const weight = ASSETS.NVDAX.coefficient;
    const { ratio, assets, low } = comparePrompts(
      [prompt("BTC", 1, 90), prompt("NVDAX", 1, 300)],
      [prompt("NVDAX", 1, 200), prompt("BTC", 1, 100)],
      "test",
    );
    assert.ok(Math.abs(ratio! - (90 + weight * 300) / (100 + weight * 200)) < 1e-12);
    assert.deepEqual(
      assets.map((own) => [own.asset, own.prompts, own.ratio]),
      [
        ["BTC", 1, 0.9],
        ["NVDAX", 1, 1.5],
      ],
    );
    assert.equal(low, null, "one day has no interval");
  });

  it("are paired: a prompt of one side alone does not count", () => {
    const current = [prompt("BTC", 1, 100), prompt("BTC", 2, 1e6), prompt("ETH", 1, 1e6)];
    const { ratio, prompts } = comparePrompts([prompt("BTC", 1, 50), prompt("BTC", 3, 1e6)], current, "test");
    assert.deepEqual([ratio, prompts], [0.5, 1]);
    assert.deepEqual(comparePrompts([], current, "test").ratio, null);
  });
});

describe("the verdict", () => {
  const rule = { tolerance: 1e-4, minPrompts: 100 };
  function comparison(changes: Partial<Comparison>): Comparison {
    const answers = { answeredByStaged: 200, answeredByCurrent: 200 };
    return { prompts: 200, ratio: 1, low: null, high: null, assets: [], ...answers, ...changes };
  }
  const CASES = [
    ["a better one", { ratio: 0.9 }, true, "not_worse"],
    ["one at the tolerance", { ratio: 1.0001 }, true, "not_worse"],
    ["one beyond it", { ratio: 1.00011 }, true, "worse"],
    ["few prompts", { prompts: 99, answeredByStaged: 99, answeredByCurrent: 99, ratio: 0.5 }, true, "too_few_prompts"],
    ["few prompts and no model in use", { prompts: 3, answeredByCurrent: 0, answeredByStaged: 3 }, false, "not_worse"],
    ["one worse than EWMA, no model in use", { ratio: 1.01, answeredByCurrent: 0 }, false, "worse"],
    ["no prompt", { prompts: 0, ratio: null, answeredByStaged: 0, answeredByCurrent: 0 }, false, "too_few_prompts"],
    ["one that always hands over", { answeredByStaged: 0, answeredByCurrent: 0 }, false, "too_few_prompts"],
    ["one that hands over more often", { answeredByStaged: 199, ratio: 0.9 }, true, "answers_fewer"],
  ] as const;
  for (const [name, changes, hasCurrent, expected] of CASES) {
    it(`of ${name} is ${expected}`, () => {
      assert.equal(verdictOf(comparison(changes), hasCurrent, rule), expected);
    });
  }
});

describe("files of an entry", () => {
  const sha256 = "0123456789abcdef".repeat(4);

  it("have their content's hash in their name, once", () => {
    const name = addressed({ file: "lgbm/hf.q50.json", sha256 });
    assert.equal(name, "lgbm/hf.q50-0123456789ab.json");
    assert.equal(addressed({ file: name, sha256 }), name);
    assert.equal(addressed({ file: name, sha256: "f".repeat(64) }), "lgbm/hf.q50-ffffffffffff.json");
  });

  it("are found wherever they are, of every kind of engine", () => {
    const entry = {
      kind: "lgbm",
      boosters: [
        { file: "a.txt", sha256 },
        { file: "b.txt", sha256 },
      ],
      golden: { file: "g.json", sha256, note: { file: 3 } },
    };
    assert.deepEqual(
      filesOf(entry).map(({ file }) => file),
      ["a.txt", "b.txt", "g.json"],
    );
    assert.equal(addressedEntry(entry).boosters[1]!.file, "b-0123456789ab.txt");
    assert.deepEqual({ ...addressedEntry(entry), boosters: 0, golden: 0 }, { ...entry, boosters: 0, golden: 0 });
  });
});
