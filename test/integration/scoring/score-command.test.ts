import assert from "node:assert/strict";
import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import type { CommandContext } from "../../../src/commands/command.ts";
import { scoreCommand } from "../../../src/commands/score.ts";
import { OperationalError } from "../../../src/errors.ts";
import { readScoringCases } from "../../support/scoring-case.ts";

const VECTORS = new URL("../../vectors/scoring/crps.json", import.meta.url);
const ONE = { name: "one", competition: "24h", time_increment: 300, paths: [[100, 101]], real: [100, 102] };

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "score-"));
});
after(async () => {
  await rm(folder, { recursive: true });
});

async function score(file: string): Promise<Record<string, unknown>[]> {
  const lines: string[] = [];
  const context: Partial<CommandContext<Record<string, never>>> = {
    positionals: [file],
    signal: new AbortController().signal,
    print: (text) => lines.push(text),
  };
  assert.equal(await scoreCommand.run(context as CommandContext<Record<string, never>>), 0);
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

async function scoreText(text: string): Promise<Record<string, unknown>[]> {
  const file = join(folder, "cases.json");
  await writeFile(file, text);
  return score(file);
}

function failsWith(code: string, pattern: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof OperationalError);
    assert.equal(error.code, code);
    assert.match(error.message, pattern);
    return true;
  };
}

describe("score", () => {
  it("prints a line per case and how far the expected values are", async () => {
    const lines = await score(fileURLToPath(VECTORS));
    const wanted = readScoringCases(VECTORS);
    assert.deepEqual(
      lines.map(({ name }) => name),
      wanted.map(({ name }) => name),
    );
    for (const line of lines) assert.ok((line["max_relative_error"] as number) < 1e-9);
  });

  it("needs no expected values", async () => {
    const [line] = await scoreText(JSON.stringify({ cases: [ONE] }));
    const crps = 100;
    assert.deepEqual(Object.keys(line!), [
      "name",
      "total",
      "price_crps",
      "vol_crps",
      "price_crps_by_interval",
      "vol_crps_by_block_unweighted",
    ]);
    assert.ok(Math.abs((line!["price_crps_by_interval"] as Record<string, number>)["5min"]! - crps) < 1e-9);
  });

  it("says how wrong an expected value is", async () => {
    const cases = [{ ...ONE, price_crps_by_interval: { "5min": 200, "7min": 0 } }];
    const [line] = await scoreText(JSON.stringify({ cases }));
    assert.ok(Math.abs((line!["max_relative_error"] as number) - 0.5) < 1e-9);
  });

  it("gives -1 and the reason for an invalid prediction", async () => {
    const cases = [
      { ...ONE, paths: [[100, 0]], total: -1 },
      { ...ONE, paths: [[100, null]] },
    ];
    const lines = await scoreText(JSON.stringify({ cases }));
    assert.deepEqual(
      lines.map(({ total, rejection }) => [total, rejection]),
      [
        [-1, "ZERO_PRICE"],
        [-1, "NOT_FINITE"],
      ],
    );
    assert.equal(lines[0]!["max_relative_error"], 0);
  });

  it("says what was expected of a bad file", async () => {
    const bad: [file: string, code: string, message: RegExp][] = [
      ["not json", "SCORE_FILE_NOT_JSON", /expected JSON/],
      ["[]", "SCORE_FILE_FORMAT", /expected \{"cases"/],
      ['{"cases": []}', "SCORE_FILE_FORMAT", /cases: /],
      [JSON.stringify({ cases: [{ ...ONE, competition: "2h" }] }), "SCORE_FILE_FORMAT", /cases\.0\.competition/],
      [
        JSON.stringify({ cases: [ONE, { ...ONE, paths: [[1, "2"]] }] }),
        "SCORE_FILE_FORMAT",
        /cases\.1\.paths\.0: .*null/,
      ],
      [JSON.stringify({ cases: [{ ...ONE, paths: [[1, 2, 3]] }] }), "SCORE_FILE_FORMAT", /paths\.0: expected 2 prices/],
      [JSON.stringify({ cases: [{ ...ONE, time_increment: 600 }] }), "SCORE_FILE_FORMAT", /time_increment: .*300/],
      [JSON.stringify({ cases: new Array(50).fill({}) }), "SCORE_FILE_FORMAT", /and \d+ more/],
    ];
    for (const [text, code, pattern] of bad) await assert.rejects(scoreText(text), failsWith(code, pattern));
  });

  it("reports a missing, unreadable or enormous file", async () => {
    await assert.rejects(score(join(folder, "nowhere.json")), failsWith("SCORE_FILE_MISSING", /no such file/));
    await assert.rejects(score(folder), failsWith("SCORE_FILE_UNREADABLE", /cannot be read/));
    const enormous = join(folder, "enormous.json");
    const handle = await open(enormous, "w");
    await handle.truncate(512_000_001);
    await handle.close();
    await assert.rejects(score(enormous), failsWith("SCORE_FILE_TOO_LARGE", /at most 512 MB/));
  });
});
