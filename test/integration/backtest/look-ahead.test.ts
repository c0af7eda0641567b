import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it, type TestContext } from "node:test";
import { ENGINE_NAMES } from "../../../src/engines/engine.ts";
import { enginesOf, forecast, type Contestant } from "../../../src/evaluation/backtest/contestant.ts";
import { originsOf, type BacktestSettings, type Origin } from "../../../src/evaluation/backtest/origin.ts";
import { planPrompts, type Chunk } from "../../../src/evaluation/backtest/plan.ts";
import { scoreChunk } from "../../../src/evaluation/backtest/score-chunk.ts";
import type { Candle } from "../../../src/market/candle.ts";
import { unixSeconds } from "../../../src/units.ts";
import {
  backtestSettings,
  btcChunk,
  corruptedAfter,
  fiveMinuteBars,
  generatedMinutes,
  MONDAY,
  writeCandles,
} from "../../support/candle-folder.ts";
import { writeCalibration } from "../../support/ewma-calibration.ts";
import { tempFolder } from "../../support/temp-folder.ts";

const DAY = 86_400;
const CONTESTANTS: readonly Contestant[] = [...ENGINE_NAMES, "reference", "trailing3d"];
const MINUTES = generatedMinutes("BTC", MONDAY, MONDAY + 6 * DAY);
const START = MONDAY + 4 * DAY + 3600;

/** What each resolution and grid is tested with; `lastUsable`: close time of the newest candle known for START. */
const CASES = [
  { name: "24h on minutes", resolution: "1m", step: 60, horizonSeconds: DAY, stepSeconds: 300, lastUsable: START - 60 },
  { name: "1h on minutes", resolution: "1m", step: 60, horizonSeconds: 3600, stepSeconds: 60, lastUsable: START - 60 },
  {
    name: "24h on five-minute bars",
    resolution: "5m",
    step: 300,
    horizonSeconds: DAY,
    stepSeconds: 300,
    lastUsable: START - 300,
  },
] as const;

type Case = (typeof CASES)[number];

function candlesOf({ resolution }: Case): Candle[] {
  return resolution === "1m" ? MINUTES : fiveMinuteBars(MINUTES);
}

async function folderOf(test: TestContext, { resolution }: Case, candles: readonly Candle[]): Promise<string> {
  const dir = await tempFolder(test);
  await writeCandles(dir, { asset: "BTC", resolution, candles });
  return dir;
}

function chunkOf(dir: string, { resolution, horizonSeconds, stepSeconds }: Case, starts: readonly number[]): Chunk {
  const source = { dir, resolution, folder: "BTC", priceFactor: 1 };
  return btcChunk(dir, { source, horizonSeconds, stepSeconds, starts });
}

/** SHA-256 of the paths' bytes by contestant, one row per origin. */
async function pathDigests(chunk: Chunk, settings: BacktestSettings): Promise<Record<string, string>[]> {
  const engines = enginesOf(settings);
  const rows: Record<string, string>[] = [];
  for (const origin of originsOf(chunk, settings)) {
    const row: Record<string, string> = {};
    for (const contestant of CONTESTANTS) {
      const { paths } = await forecast(contestant, origin, engines);
      row[contestant] = createHash("sha256").update(new Uint8Array(paths.buffer)).digest("hex");
    }
    rows.push(row);
  }
  return rows;
}

/** The plain EWMA; and one calibrated by hand, with the rhythm of the week, rank-matched paths and all. */
const calibrationDir = await mkdtemp(join(tmpdir(), "look-ahead-"));
const PLAIN = backtestSettings();
const CALIBRATED = backtestSettings(40, await writeCalibration(calibrationDir));
after(() => rm(calibrationDir, { recursive: true }));
const CALIBRATIONS = { "plain EWMA": PLAIN, "calibrated EWMA": CALIBRATED };

describe("look-ahead", () => {
  it("is tested with a calibration that answers every case, and otherwise than the plain EWMA", async (test) => {
    for (const each of CASES) {
      const chunk = chunkOf(await folderOf(test, each, candlesOf(each)), each, [START]);
      const [{ request, snapshot }] = [...originsOf(chunk, CALIBRATED)] as [Origin];
      const prepared = enginesOf(CALIBRATED).ewma.prepare(request, snapshot);
      assert.ok(prepared.ok && prepared.input.engine === "ewma");
      assert.deepEqual(prepared.input.fallbacks, [], each.name);
      const [[plain], [calibrated]] = [await pathDigests(chunk, PLAIN), await pathDigests(chunk, CALIBRATED)];
      assert.notEqual(calibrated!["ewma"], plain!["ewma"]);
    }
  });

  for (const [name, settings] of Object.entries(CALIBRATIONS))
    for (const each of CASES) {
      it(`${name}, ${each.name}: corrupting every candle after the cut-off leaves every engine's bytes as they are`, async (test) => {
        const candles = candlesOf(each);
        const clean = await folderOf(test, each, candles);
        const corrupt = await folderOf(test, each, corruptedAfter(candles, START - 60, each.step));
        const [expected] = await pathDigests(chunkOf(clean, each, [START]), settings);
        assert.deepEqual(await pathDigests(chunkOf(corrupt, each, [START]), settings), [expected]);
        // The state that went through earlier origins is the same one.
        const starts = [START - DAY, START - 4020 + (4020 % each.step), START];
        assert.deepEqual((await pathDigests(chunkOf(corrupt, each, starts), settings)).at(-1), expected);
        // Neither does the choice of candles look: the plan is the same but for the folder.
        const prompt = { asset: "BTC", start: START, ...each } as const;
        const planOf = (dir: string): string =>
          JSON.stringify(planPrompts([prompt], { dirs: [dir], minObserved: 0.5 })).replaceAll(dir, "");
        assert.equal(planOf(corrupt), planOf(clean));
        assert.match(planOf(clean), /"skipped":\[\]/);
        // The corruption is no empty one: the truth differs, and so does the score.
        const task = { kind: "score", contestants: ["ewma"], settings } as const;
        const [cleanScore] = await scoreChunk({ ...task, chunk: chunkOf(clean, each, [START]) });
        const [corruptScore] = await scoreChunk({ ...task, chunk: chunkOf(corrupt, each, [START]) });
        assert.ok(corruptScore!.scores[0]!.total > 2 * cleanScore!.scores[0]!.total);
      });

      it(`${name}, ${each.name}: the last candle before the cut-off does count`, async (test) => {
        const candles = candlesOf(each);
        const clean = await folderOf(test, each, candles);
        const corrupt = await folderOf(test, each, corruptedAfter(candles, each.lastUsable - 1, each.step));
        const [expected] = await pathDigests(chunkOf(clean, each, [START]), settings);
        const [found] = await pathDigests(chunkOf(corrupt, each, [START]), settings);
        for (const contestant of CONTESTANTS) assert.notEqual(found![contestant], expected![contestant], contestant);
      });

      it(`${name}, ${each.name}: shifting all timestamps by one step changes paths and scores`, async (test) => {
        const candles = candlesOf(each);
        const clean = await folderOf(test, each, candles);
        for (const shift of [-each.step, each.step]) {
          const moved = candles.map((candle) => ({ ...candle, openTime: unixSeconds(candle.openTime + shift) }));
          const shifted = await folderOf(test, each, moved);
          const task = { kind: "score", contestants: CONTESTANTS, settings } as const;
          const [before] = await scoreChunk({ ...task, chunk: chunkOf(clean, each, [START]) });
          const [after] = await scoreChunk({ ...task, chunk: chunkOf(shifted, each, [START]) });
          assert.notDeepEqual(after!.realised, before!.realised);
          for (const [i, { engine, total }] of after!.scores.entries()) {
            assert.notEqual(total, before!.scores[i]!.total, engine);
          }
          const [expected] = await pathDigests(chunkOf(clean, each, [START]), settings);
          const [found] = await pathDigests(chunkOf(shifted, each, [START]), settings);
          for (const contestant of CONTESTANTS) assert.notEqual(found![contestant], expected![contestant], contestant);
        }
      });
    }
});

describe("the state", () => {
  it("advanced from origin to origin is the state rebuilt from scratch at each, to the last bit", async (test) => {
    const dir = await folderOf(test, CASES[0], MINUTES);
    const starts = [0, 4020, 8040, 50_000, DAY].map((offset) => MONDAY + 3 * DAY + offset);
    const alone = starts.map((start) => [...originsOf(chunkOf(dir, CASES[0], [start]), PLAIN)][0]!);
    assert.deepStrictEqual([...originsOf(chunkOf(dir, CASES[0], starts), PLAIN)], alone);
    assert.ok(
      alone.every(
        ({ state, request }) => state.candles.openTime.at(-1) === request.startTime - (request.startTime % 60) - 120,
      ),
    );
  });

  it("of five-minute bars has the five-minute moment and the anchor that their minutes give, to the last bit", async (test) => {
    const bars = await folderOf(test, CASES[2], fiveMinuteBars(MINUTES));
    const minutes = await folderOf(test, CASES[0], MINUTES);
    // At a start four minutes past a bar's close, the last minute known is that bar's.
    const starts = [START + 60, START + DAY / 2 + 60];
    const byBars = [...originsOf(chunkOf(bars, CASES[2], starts), PLAIN)];
    const byMinutes = [...originsOf(chunkOf(minutes, CASES[0], starts), PLAIN)];
    for (const [i, { state, snapshot }] of byBars.entries()) {
      assert.deepEqual(state.sigma2FiveMinute, byMinutes[i]!.state.sigma2FiveMinute);
      assert.deepEqual(snapshot.anchor, byMinutes[i]!.snapshot.anchor);
    }
  });
});
