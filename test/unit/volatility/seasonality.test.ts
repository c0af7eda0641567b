import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import fc from "fast-check";
import { z } from "zod";
import { unixSeconds } from "../../../src/units.ts";
import { advance, startState } from "../../../src/volatility/advance.ts";
import {
  countSeasonality,
  emptySeasonality,
  minuteBin,
  weekBin,
  weightAt,
  type BarReturn,
} from "../../../src/volatility/seasonality.ts";
import { encodeState } from "../../../src/volatility/state-codec.ts";
import type { SeasonalityStats } from "../../../src/volatility/state.ts";
import { scriptedCandles } from "../../support/scripted-feed.ts";
import { ADVANCE, AUGUST, HALF_LIVES, scriptedState } from "../../support/volatility-fixture.ts";

const DAY = 86_400;

const series = z.object({ from: z.number(), returns: z.array(z.number()) });
const { counting } = z
  .object({
    counting: z.object({
      five_minute: series,
      minute: series,
      week: z.array(z.tuple([z.number(), z.number(), z.number()])),
      minute_sum: z.array(z.number()),
      minute_weight: z.array(z.number()),
    }),
  })
  .parse(JSON.parse(readFileSync(new URL("../../vectors/weekly_profile.json", import.meta.url), "utf8")));

function barsOf({ from, returns }: z.infer<typeof series>, stepSeconds: number): BarReturn[] {
  return returns.map((logReturn, i) => ({ openTime: from + i * stepSeconds, stepSeconds, logReturn }));
}

function assertNear(actual: number, expected: number): void {
  assert.ok(Math.abs(actual - expected) <= 1e-11 * Math.abs(expected), `expected ${expected}, was ${actual}`);
}

describe("vectors made by pandas", () => {
  const { weekSum, weekWeight, minuteSum, minuteWeight } = countSeasonality(emptySeasonality(), [
    ...barsOf(counting.minute, 60),
    ...barsOf(counting.five_minute, 300),
  ]);

  it("count |return| over its ewm level into the same bins of the New York week, outliers capped", () => {
    const found = [...weekSum].flatMap((sum, bin) => (weekWeight[bin]! > 0 ? [[bin, sum, weekWeight[bin]!]] : []));
    assert.deepEqual(
      found.map(([bin]) => bin),
      counting.week.map(([bin]) => bin),
    );
    counting.week.forEach(([, sum, weight], i) => {
      assertNear(found[i]![1]!, sum);
      assertNear(found[i]![2]!, weight);
    });
  });

  it("and into the same minutes of the hour", () => {
    counting.minute_sum.forEach((sum, minute) => {
      assertNear(minuteSum[minute]!, sum);
      assertNear(minuteWeight[minute]!, counting.minute_weight[minute]!);
    });
  });
});

describe("bins", () => {
  const clock = new Intl.DateTimeFormat("en-GB", {
    timeZone: "America/New_York",
    weekday: "short",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  });

  it("are those of ICU's New York clock, but for the night in which it changes", () => {
    const from = Date.parse("2010-01-01T00:00Z") / 300_000;
    fc.assert(
      fc.property(fc.integer({ min: from, max: Date.parse("2030-01-01T00:00Z") / 300_000 }), (fiveMinutes) => {
        const time = fiveMinutes * 300;
        const parts = Object.fromEntries(clock.formatToParts(time * 1000).map(({ type, value }) => [type, value]));
        const day = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].indexOf(parts["weekday"]!);
        // The change is taken at 00:00 UTC of its Sunday instead of 06:00 or 07:00: no market follows that clock then.
        fc.pre(new Date(time * 1000).getUTCDay() !== 0 || time % DAY >= 7 * 3600);
        assert.equal(weekBin(time), day * 288 + Math.floor((Number(parts["hour"]) * 60 + Number(parts["minute"])) / 5));
        assert.equal(minuteBin(time + 60 * (fiveMinutes % 5)), ((time / 60) % 60) + (fiveMinutes % 5));
      }),
      { seed: 1, numRuns: 3000 },
    );
  });
});

describe("counting", () => {
  const bars = barsOf(counting.five_minute, 300);
  const whole = countSeasonality(emptySeasonality(), bars);

  it("in pieces is counting at once, to the last bit, and changes no argument", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(bars.length), { maxLength: 6 }), (cuts) => {
        const borders = [0, ...cuts.sort((a, b) => a - b), bars.length];
        let stats = emptySeasonality();
        for (let i = 1; i < borders.length; i++) {
          const before = structuredClone(stats);
          const next = countSeasonality(stats, bars.slice(borders[i - 1], borders[i]));
          assert.deepStrictEqual(stats, before);
          stats = next;
        }
        assert.deepStrictEqual(stats, whole);
      }),
      { numRuns: 60 },
    );
  });

  it("takes no bar twice that closed by `until`", () => {
    assert.equal(whole.until, bars.at(-1)!.openTime + 300);
    assert.deepStrictEqual(countSeasonality(whole, bars), whole);
    const later = barsOf({ from: bars.at(-10)!.openTime, returns: new Array<number>(20).fill(1e-3) }, 300);
    assert.deepStrictEqual(countSeasonality(whole, later), countSeasonality(whole, later.slice(10)));
  });

  it("caps an outlier, and takes a frozen feed for what it is: no level, no ratio", () => {
    const next = (logReturn: number): SeasonalityStats =>
      countSeasonality(whole, [{ openTime: whole.until, stepSeconds: 300, logReturn }]);
    const bin = weekBin(whole.until);
    const added = next(0.49).weekSum[bin]! - whole.weekSum[bin]!;
    assert.ok(Math.abs(added / (8 * weightAt(whole.until)) - 1) < 1e-12);
    assert.deepEqual(next(-0.49), next(0.49));
    const frozen = countSeasonality(
      emptySeasonality(),
      bars.map((bar) => ({ ...bar, logReturn: 0 })),
    );
    assert.ok(frozen.weekWeight.every((weight) => weight === 0));
    assert.ok(frozen.levelFiveMinute.mass > 0.1);
  });
});

describe("the seasonality of a state", () => {
  const START = startState({ asset: "BTC", source: "binance", ...HALF_LIVES });
  const candles = scriptedCandles("BTC", { from: AUGUST, to: AUGUST + 2 * DAY }).filter((_, i) => i % 97 > 2);
  const whole = advance(START, candles, ADVANCE);

  it("in pieces is the same to the last bit, holes included", () => {
    assert.ok(whole.seasonality.weekWeight.some((weight) => weight > 0));
    assert.ok(whole.seasonality.minuteWeight.every((weight) => weight > 0));
    fc.assert(
      fc.property(fc.array(fc.nat(candles.length), { maxLength: 8 }), (cuts) => {
        const borders = [0, ...cuts.sort((a, b) => a - b), candles.length];
        let state = START;
        for (let i = 1; i < borders.length; i++) {
          state = advance(state, candles.slice(borders[i - 1], borders[i]), ADVANCE);
        }
        assert.deepStrictEqual(state.seasonality, whole.seasonality);
      }),
      { numRuns: 20 },
    );
    const oneByOne = candles.slice(0, 400).reduce((state, candle) => advance(state, [candle], ADVANCE), START);
    assert.deepStrictEqual(oneByOne, advance(START, candles.slice(0, 400), ADVANCE));
  });

  it("counts no return across a hole", () => {
    const last = whole.candles.openTime.at(-1)!;
    const price = whole.candles.close.at(-1)! * 1.05;
    const flat = { open: price, high: price, low: price, close: price, volume: null };
    // Half an hour later, with the last minute of its five, so that the bar is complete.
    const openTime = unixSeconds(last - (last % 300) + 1800 + 240);
    const after = advance(whole, [{ openTime, ...flat }], ADVANCE);
    assert.equal(after.candleCount, whole.candleCount + 1);
    assert.notDeepEqual(after.sigma2FiveMinute, whole.sigma2FiveMinute);
    assert.deepStrictEqual(after.seasonality, whole.seasonality);
  });

  it("survives a restart of the warm-up, and a rebuild over known candles counts none twice", () => {
    const last = whole.candles.openTime.at(-1)!;
    const price = whole.candles.close.at(-1)!;
    const gap = ADVANCE.warmupSeconds + 600;
    const flat = { open: price, high: price, low: price, close: price, volume: null };
    const restarted = advance(whole, [{ openTime: unixSeconds(last + gap), ...flat }], ADVANCE);
    assert.equal(restarted.candleCount, 1);
    assert.deepStrictEqual(restarted.seasonality, whole.seasonality);
    const jumped = advance(
      whole,
      [{ ...candles.at(-1)!, openTime: unixSeconds(last + 60), close: price * 9, high: price * 9 }],
      ADVANCE,
    );
    assert.equal(jumped.candleCount, 1);
    assert.deepStrictEqual(jumped.seasonality, whole.seasonality);

    const rebuilt = advance(startState({ ...whole, seasonality: whole.seasonality }), candles, ADVANCE);
    assert.deepStrictEqual(rebuilt, whole);
    const more = scriptedCandles("BTC", { from: AUGUST + 2 * DAY, to: AUGUST + 2 * DAY + 7200 });
    assert.deepStrictEqual(advance(rebuilt, more, ADVANCE), advance(whole, more, ADVANCE));
  });

  it("makes 34 KB of a state's file, whatever its age", () => {
    const empty = encodeState(scriptedState("BTC", 30));
    const week = encodeState(scriptedState("BTC", 7 * 1440));
    // (2 · 2016 + 2 · 60) float64 and half a kilobyte of names and other numbers; six columns of candles.
    const columns = 8 * (2 * 2016 + 2 * 60);
    assert.ok(empty.length - 6 * 8 * 30 - columns < 1024, `${empty.length}`);
    assert.ok(week.length - 6 * 8 * 7 * 1440 - columns < 1024, `${week.length}`);
  });
});
