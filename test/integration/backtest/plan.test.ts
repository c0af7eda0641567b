import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { OperationalError } from "../../../src/errors.ts";
import { trailingSigma } from "../../../src/evaluation/backtest/contestant.ts";
import { realisedPrices, sourcesOf } from "../../../src/evaluation/backtest/data.ts";
import { originsOf } from "../../../src/evaluation/backtest/origin.ts";
import { planPrompts, type Plan, type Prompt } from "../../../src/evaluation/backtest/plan.ts";
import { readPrompts } from "../../../src/evaluation/backtest/prompts.ts";
import { scoreChunk } from "../../../src/evaluation/backtest/score-chunk.ts";
import type { Candle } from "../../../src/market/candle.ts";
import {
  backtestSettings,
  fiveMinuteBars,
  generatedMinutes,
  MONDAY,
  writeCandles,
} from "../../support/candle-folder.ts";
import { tempFolder } from "../../support/temp-folder.ts";

const DAY = 86_400;
const HOUR = 3600;
const MINUTES = generatedMinutes("BTC", MONDAY, MONDAY + 6 * DAY);

async function minuteFolder(test: TestContext, candles: readonly Candle[]): Promise<string> {
  const dir = await tempFolder(test);
  await writeCandles(dir, { asset: "BTC", resolution: "1m", candles });
  return dir;
}

async function writeSegments(
  dir: string,
  rows: readonly (readonly [resolution: string, from: number, last: number])[],
): Promise<void> {
  const time = (seconds: number): string => new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ");
  const lines = rows.map(([resolution, from, last]) => `BTC,${resolution},${time(from)},${time(last)},1,0,x,y`);
  const header = "asset,res,start_utc,end_utc,bars,missing_pct,instrument,note";
  await writeFile(join(dir, "segments.csv"), [header, ...lines, ""].join("\n"));
}

function dayPrompt(start: number): Prompt {
  return { asset: "BTC", start, horizonSeconds: DAY, stepSeconds: 300 };
}

function hourPrompt(start: number): Prompt {
  return { asset: "BTC", start, horizonSeconds: HOUR, stepSeconds: 60 };
}

function planOf(dir: string, prompts: readonly Prompt[]): Plan {
  return planPrompts(prompts, { dirs: [dir], minObserved: 0.5 });
}

function reasonsOf({ skipped }: Plan): [number, string][] {
  return skipped.map(({ prompt, reason }) => [prompt.start, reason]);
}

function startsOf({ chunks }: Plan): number[] {
  return chunks.flatMap(({ starts }) => starts);
}

describe("which prompts candles can answer", () => {
  it("leaves out what has no candle, too little history or too many holes, each under its reason", async (test) => {
    const holes = MINUTES.filter(
      ({ openTime }) => openTime < MONDAY + 4 * DAY || openTime >= MONDAY + 4 * DAY + 31 * 60,
    );
    const dir = await minuteFolder(test, holes);
    // 24 h of history before T - 60 s, to the minute.
    const earliest = MONDAY + DAY + 60;
    const plan = planOf(dir, [
      hourPrompt(earliest - 60),
      hourPrompt(earliest),
      hourPrompt(MONDAY + 8 * DAY),
      // 31 of 61 points are missing, and from a minute earlier on 30.
      hourPrompt(MONDAY + 4 * DAY),
      hourPrompt(MONDAY + 4 * DAY + 60),
      dayPrompt(MONDAY + 4 * DAY - 12 * HOUR),
    ]);
    assert.deepEqual(reasonsOf(plan), [
      [earliest - 60, "short_history"],
      [MONDAY + 8 * DAY, "no_candles"],
      [MONDAY + 4 * DAY, "missing_points"],
    ]);
    assert.deepEqual(startsOf(plan).sort(), [earliest, MONDAY + 4 * DAY + 60, MONDAY + 4 * DAY - 12 * HOUR].sort());
  });

  it("a segment border inside a prompt leaves it out; history starts anew behind the border", async (test) => {
    const border = MONDAY + 3 * DAY;
    const dir = await minuteFolder(
      test,
      MINUTES.filter(({ openTime }) => openTime !== border),
    );
    await writeSegments(dir, [
      ["1m", MONDAY, border - 60],
      ["1m", border + 60, MONDAY + 6 * DAY - 60],
    ]);
    const plan = planOf(dir, [
      // The last price needed is the close of the minute before the border.
      hourPrompt(border - HOUR - 60),
      hourPrompt(border - HOUR),
      hourPrompt(border - 60),
      hourPrompt(border + 60),
      hourPrompt(border + DAY),
      hourPrompt(border + DAY + 120),
    ]);
    assert.deepEqual(reasonsOf(plan), [
      [border - HOUR, "segment_border"],
      [border - 60, "segment_border"],
      [border + 60, "short_history"],
      [border + DAY, "short_history"],
    ]);
    assert.deepEqual(startsOf(plan), [border - HOUR - 60, border + DAY + 120]);
    // The state of the last one has no candle from before the border.
    const [origin] = [...originsOf(plan.chunks.at(-1)!, backtestSettings())];
    assert.equal(origin!.state.warmFrom, border + 60);
  });

  it("instruments that follow each other without a hole share no candle", async (test) => {
    const border = MONDAY + 3 * DAY;
    const dir = await minuteFolder(test, MINUTES);
    await writeSegments(dir, [
      ["1m", MONDAY, border - 60],
      ["1m", border, MONDAY + 6 * DAY - 60],
    ]);
    const plan = planOf(dir, [hourPrompt(border - HOUR), hourPrompt(border + DAY), hourPrompt(border + DAY + 60)]);
    assert.deepEqual(reasonsOf(plan), [
      [border - HOUR, "segment_border"],
      [border + DAY, "short_history"],
    ]);
    const [origin] = [...originsOf(plan.chunks[0]!, backtestSettings())];
    assert.equal(origin!.state.warmFrom, border);
  });

  it("takes minutes where they answer and five-minute bars elsewhere; one-hour grids need minutes", async (test) => {
    const dir = await minuteFolder(test, MINUTES.slice(0, 3 * 1440));
    await writeCandles(dir, { asset: "BTC", resolution: "5m", candles: fiveMinuteBars(MINUTES) });
    const plan = planOf(dir, [
      dayPrompt(MONDAY + 1.5 * DAY),
      dayPrompt(MONDAY + 4 * DAY),
      hourPrompt(MONDAY + 4 * DAY),
    ]);
    assert.deepEqual(
      plan.chunks.map(({ source, starts }) => [source.resolution, ...starts]),
      [
        ["1m", MONDAY + 1.5 * DAY],
        ["5m", MONDAY + 4 * DAY],
      ],
    );
    assert.deepEqual(reasonsOf(plan), [[MONDAY + 4 * DAY, "no_candles"]]);
  });

  it("several folders stand in for each other, in their order; gzip and an asset's own folder name are read", async (test) => {
    const [first, second] = [await minuteFolder(test, MINUTES.slice(0, 3 * 1440)), await minuteFolder(test, MINUTES)];
    const prompts = [hourPrompt(MONDAY + 2 * DAY), hourPrompt(MONDAY + 4 * DAY)];
    const plan = planPrompts(prompts, { dirs: [first, second], minObserved: 0.5 });
    assert.deepEqual(
      plan.chunks.map(({ source }) => source.dir),
      [first, second],
    );
    const own = join(first, "1m", "NVDAX");
    await mkdir(own, { recursive: true });
    await writeFile(join(own, "2025-09.csv"), "t,o,h,l,c,v\n");
    assert.deepEqual(
      sourcesOf("NVDAX", [first]).map(({ folder }) => folder),
      ["NVDAX"],
    );
    assert.deepEqual(sourcesOf("SP500", [first]), []);
  });
});

describe("the truth and the trailing standard deviation", () => {
  it("realised prices are the closes of the minutes that open at the grid times, NaN where there is none", async (test) => {
    const dir = await minuteFolder(
      test,
      MINUTES.filter((_, i) => i !== 1440 + 2),
    );
    const source = { dir, resolution: "1m", folder: "BTC", priceFactor: 1 } as const;
    const found = realisedPrices(source, { start: MONDAY + DAY, stepSeconds: 60, points: 4 });
    assert.deepEqual(
      [...found],
      [0, 1, NaN, 3].map((i) => (Number.isNaN(i) ? NaN : MINUTES[1440 + i]!.close)),
    );
    const scaled = realisedPrices({ ...source, priceFactor: 10 }, { start: MONDAY + DAY, stepSeconds: 300, points: 2 });
    assert.deepEqual(
      [...scaled],
      [1440, 1445].map((i) => MINUTES[i]!.close * 10),
    );
  });

  it("trailing sigma is numpy's std(ddof=1) of the three days before, at the grid's own resolution", async (test) => {
    const dir = await minuteFolder(test, MINUTES);
    const start = MONDAY + 5 * DAY;
    const [origin] = [...originsOf(planOf(dir, [hourPrompt(start)]).chunks[0]!, backtestSettings())];
    for (const [stepSeconds, minutes] of [
      [60, 1],
      [300, 5],
    ] as const) {
      const closes = MINUTES.filter(
        ({ openTime }) =>
          openTime >= start - 120 - 3 * DAY && openTime <= start - 120 && (openTime + 60) % stepSeconds === 0,
      ).map(({ close }) => close);
      const returns = closes.slice(1).map((close, i) => Math.log(close / closes[i]!));
      const mean = returns.reduce((a, b) => a + b, 0) / returns.length;
      const variance = returns.reduce((sum, r) => sum + (r - mean) ** 2, 0) / (returns.length - 1);
      const expected = Math.sqrt((variance * 60) / minutes);
      assert.ok(Math.abs(trailingSigma(origin!.state, stepSeconds)! / expected - 1) < 1e-9);
    }
  });
});

describe("hand-overs", () => {
  it("an engine that cannot answer is named with who did and why, and scores as that one", async (test) => {
    const dir = await minuteFolder(test, MINUTES);
    const [chunk] = planOf(dir, [hourPrompt(MONDAY + 3 * DAY)]).chunks;
    const settings = { ...backtestSettings(), rankMatching: false, models: join(dir, "none.json") };
    const contestants = ["patchtst", "lgbm", "ewma", "baseline", "reference"] as const;
    const [result] = await scoreChunk({ kind: "score", chunk: chunk!, contestants, settings });
    const [patchtst, lgbm, ewma, baseline, reference] = result!.scores;
    assert.equal(patchtst!.answeredBy, "ewma");
    assert.deepEqual(patchtst!.handOvers, ["patchtst: model/not_installed"]);
    assert.equal(patchtst!.total, ewma!.total);
    assert.equal(lgbm!.answeredBy, "ewma");
    assert.deepEqual(ewma!.handOvers, []);
    assert.equal(baseline!.total, reference!.total);
    assert.notEqual(ewma!.total, reference!.total);
    // The subnet's reference miner has no rank-matching; ours has, as the last resort too.
    const matched = { ...settings, rankMatching: true };
    const [again] = await scoreChunk({ kind: "score", chunk: chunk!, contestants, settings: matched });
    assert.equal(again!.scores[4]!.total, reference!.total);
    assert.notEqual(again!.scores[3]!.total, reference!.total);
  });
});

describe("a prompts file", () => {
  it("gives its prompts, and what is none with its line", async (test) => {
    const file = join(await tempFolder(test), "prompts.csv");
    const rows = [
      "asset,start_time,time_length,time_increment",
      "BTC,2025-09-02T00:05:00+00:00,86400,300",
      "XAU,2025-09-02T02:05:00+02:00,3600,60",
      "DOGE,2025-09-02T00:05:00Z,3600,60",
      "ETH,yesterday,3600,60",
      "ETH,2025-09-02T00:05:00Z,3600,7",
    ];
    await writeFile(file, `\ufeff${rows.join("\r\n")}\r\n`);
    const { prompts, badRows } = readPrompts(file);
    assert.deepEqual(prompts, [
      { asset: "BTC", start: MONDAY + DAY + 300, horizonSeconds: DAY, stepSeconds: 300 },
      { asset: "XAU", start: MONDAY + DAY + 300, horizonSeconds: HOUR, stepSeconds: 60 },
    ]);
    assert.deepEqual(
      badRows.map(({ line, asset }) => [line, asset]),
      [
        [4, "DOGE"],
        [5, "ETH"],
        [6, "ETH"],
      ],
    );
  });

  it("without its header, without rows or missing is an operating failure", async (test) => {
    const dir = await tempFolder(test);
    for (const [name, text] of [
      ["a.csv", "asset,start\nBTC,1\n"],
      ["b.csv", ""],
      ["c.csv", '"unclosed\n'],
    ] as const) {
      await writeFile(join(dir, name), text);
    }
    for (const name of ["a.csv", "b.csv", "c.csv", "missing.csv"]) {
      assert.throws(
        () => readPrompts(join(dir, name)),
        (error) => error instanceof OperationalError && error.code === "backtest/bad_prompts_file",
      );
    }
  });
});
