import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { COMPETITION_RULES } from "../../../src/scoring/intervals.ts";
import { scoreField, softmax } from "../../../src/scoring/leaderboard.ts";
import { scorePrompt } from "../../../src/scoring/prompt-score.ts";
import { promptOf, readScoringCases } from "../../support/scoring-case.ts";

const OWN = new URL("../../vectors/scoring/crps.json", import.meta.url);
const SHARED = new URL("../../../../shared/vectors/crps_vectors.json", import.meta.url);
const FIELDS = new URL("../../vectors/scoring/leaderboard.json", import.meta.url);

/** The vectors sum in another order than we do. */
const RELATIVE_TOLERANCE = 1e-9;

function assertClose(found: number | undefined, wanted: number, label: string): void {
  const message = `${label}: expected ${wanted}, was ${found}`;
  assert.ok(found !== undefined && Math.abs(found - wanted) <= RELATIVE_TOLERANCE * Math.abs(wanted), message);
}

function assertAllClose(found: Readonly<Record<string, number>>, wanted: Readonly<Record<string, number>>): void {
  assert.deepEqual(Object.keys(found), Object.keys(wanted));
  for (const [name, value] of Object.entries(wanted)) assertClose(found[name], value, name);
}

function assertListClose(found: readonly number[], wanted: readonly number[]): void {
  assert.equal(found.length, wanted.length);
  for (const [i, value] of wanted.entries()) assertClose(found[i], value, String(i));
}

function checkFile(file: URL): void {
  for (const wanted of readScoringCases(file)) {
    it(wanted.name, () => {
      const prompt = promptOf(wanted.paths, wanted.real, wanted.time_increment);
      const score = scorePrompt(prompt, COMPETITION_RULES[wanted.competition]);
      assertAllClose(score.priceCrpsByInterval, wanted.price_crps_by_interval);
      assertAllClose(score.volatilityCrpsByBlock, wanted.vol_crps_by_block_unweighted);
      assertClose(score.priceCrps, wanted.price_crps, "price_crps");
      assertClose(score.volatilityCrps, wanted.vol_crps, "vol_crps");
      assertClose(score.total, wanted.total, "total");
      assert.equal(score.rejection !== null, wanted.total === -1);
    });
  }
}

describe("scoring vectors of scripts/vectors/scoring_vectors.py", () => {
  checkFile(OWN);
});

if (existsSync(SHARED)) {
  describe("shared/vectors/crps_vectors.json", () => {
    checkFile(SHARED);
  });
} else {
  it("shared/vectors/crps_vectors.json", { skip: "../shared/vectors is not there" }, () => undefined);
}

describe("leaderboard vectors of scripts/vectors/scoring_vectors.py", () => {
  const { softmax_beta: beta, fields } = JSON.parse(readFileSync(FIELDS, "utf8")) as {
    softmax_beta: number;
    fields: { scores: number[]; relative: number[]; miss_score: number; capped: boolean[]; softmax: number[] }[];
  };
  for (const wanted of fields) {
    it(`a field of ${wanted.scores.length}`, () => {
      const field = scoreField(wanted.scores)!;
      assertListClose(field.relative, wanted.relative);
      assertClose(field.missScore, wanted.miss_score, "miss score");
      assert.deepEqual(field.capped, wanted.capped);
      assertListClose(softmax(field.relative, beta), wanted.softmax);
    });
  }
});
