import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import fc from "fast-check";
import { z } from "zod";
import { unixSeconds } from "../../../src/units.ts";
import {
  barReturns,
  multiScaleLevels,
  stillBars,
  withoutBars,
  zeroShare,
  type BarReturns,
} from "../../../src/volatility/features.ts";
import type { VolatilityState } from "../../../src/volatility/state.ts";
import { MINUTE_BINS, WEEK_BINS } from "../../../src/volatility/seasonality.ts";
import { seasonalFactor } from "../../../src/volatility/weekly-profile.ts";
import { volatilityState } from "../../support/forecast-inputs.ts";
import { scriptedState } from "../../support/volatility-fixture.ts";

const column = z.array(z.number()).transform((values) => Float64Array.from(values));
const { levels: vectors } = z
  .object({
    levels: z.object({
      week: column,
      minute: column,
      series: z.array(
        z.object({
          step_seconds: z.number(),
          candles: z.array(z.tuple([z.number(), z.number()])),
          half_life_seconds: z.array(z.number()),
          count: z.number(),
          newest_zero_share_of_40: z.number(),
          levels: z.array(z.number()),
        }),
      ),
    }),
  })
  .parse(JSON.parse(readFileSync(new URL("../../vectors/weekly_profile.json", import.meta.url), "utf8")));

/** A state of these candles, [open time, close]. */
function stateOf(rows: readonly (readonly [number, number])[]): VolatilityState {
  const base = volatilityState({ minutes: rows.length });
  const openTime = Float64Array.from(rows, ([time]) => time);
  const close = Float64Array.from(rows, ([, price]) => price);
  return { ...base, warmFrom: unixSeconds(rows[0]![0]), candles: { ...base.candles, openTime, close } };
}

function returnsOf(values: readonly number[]): BarReturns {
  return { openTime: Float64Array.from(values, (_, i) => 300 * i), logReturn: Float64Array.from(values) };
}

describe("vectors made by pandas", () => {
  for (const each of vectors.series) {
    it(`ewm(adjust=True, ignore_na=True) of deseasonalised |returns| over ${each.step_seconds} s, with holes`, () => {
      const stepSeconds = each.step_seconds;
      const returns = barReturns(stateOf(each.candles), stepSeconds);
      assert.equal(returns.logReturn.length, each.count);
      assert.ok(each.count < (900 * 60) / stepSeconds - 40 * (60 / stepSeconds));
      const levels = multiScaleLevels(returns, (time) => seasonalFactor(vectors, time, stepSeconds), {
        stepSeconds,
        halfLifeSeconds: each.half_life_seconds,
      });
      levels.forEach((level, k) => {
        assert.ok(Math.abs(level / each.levels[k]! - 1) < 1e-12, `${level} for ${each.levels[k]}`);
      });
      assert.equal(
        zeroShare(returns, () => true, { least: 40, most: 40 }),
        each.newest_zero_share_of_40,
      );
    });
  }
});

describe("bar returns", () => {
  it("are the log returns of minutes and of five minutes that close on the clock", () => {
    const state = scriptedState("BTC", 500);
    const { close, openTime } = state.candles;
    for (const minutes of [1, 5, 15]) {
      const { logReturn, openTime: opens } = barReturns(state, minutes * 60);
      assert.equal(logReturn.length, Math.floor(500 / minutes) - 1);
      logReturn.forEach((value, i) => {
        const last = minutes * (i + 2) - 1;
        assert.equal(value, Math.log(close[last]! / close[last - minutes]!));
        assert.equal(opens[i], openTime[last - minutes + 1]);
      });
    }
  });

  it("take no return across a hole, but across one inside a bar, and none from before the warm-up", () => {
    const state = scriptedState("BTC", 60);
    const rows = [...state.candles.openTime].map((time, i) => [time, state.candles.close[i]!] as const);
    const times = (kept: readonly (readonly [number, number])[], step: number): number[] =>
      [...barReturns(stateOf(kept), step).openTime].map((time) => (time - rows[0]![0]) / 60);
    const withoutMinute = (minute: number): (readonly [number, number])[] => rows.filter((_, i) => i !== minute);
    const five = [5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55];
    assert.deepEqual(times(rows, 300), five);
    assert.deepEqual(times(withoutMinute(22), 300), five);
    // The close of minute 24 ends one bar and begins the next.
    assert.deepEqual(
      times(withoutMinute(24), 300),
      five.filter((minute) => minute !== 20 && minute !== 25),
    );
    assert.equal(times(withoutMinute(24), 60).length, 57);
    const warm = { ...stateOf(rows), warmFrom: unixSeconds(rows[30]![0]) };
    assert.equal(barReturns(warm, 300).logReturn.length, 5);
    assert.equal(barReturns(stateOf(rows.slice(0, 1)), 60).logReturn.length, 0);
  });
});

describe("multi-scale levels", () => {
  const halfLifeSeconds = [600, 7200, 86_400];
  const sizes = fc.array(fc.double({ min: 1e-9, max: 0.1, noNaN: true }), { minLength: 1, maxLength: 60 });

  it("scale with the returns, lie between their smallest and largest, and are a constant's own value", () => {
    fc.assert(
      fc.property(sizes, (values) => {
        const scale = { stepSeconds: 300, halfLifeSeconds };
        const levels = multiScaleLevels(returnsOf(values), () => 1, scale);
        const larger = multiScaleLevels(returnsOf(values.map((value) => -4 * value)), () => 1, scale);
        assert.deepEqual(
          larger,
          levels.map((level) => 4 * level),
        );
        for (const level of levels) {
          assert.ok(level >= Math.min(...values) * (1 - 1e-12) && level <= Math.max(...values) * (1 + 1e-12));
        }
        const constant = multiScaleLevels(returnsOf(values.map(() => values[0]!)), () => 1, scale);
        for (const level of constant) assert.ok(Math.abs(level / values[0]! - 1) < 1e-12);
      }),
    );
  });

  it("undo a rhythm that the returns follow", () => {
    const week = new Float64Array(WEEK_BINS).map((_, bin) => 1 + (bin % 12) / 4);
    const minute = new Float64Array(MINUTE_BINS).map((_, i) => 1 + (i % 5) / 10);
    const openTime = Float64Array.from({ length: 600 }, (_, i) => Date.parse("2026-06-01T00:00Z") / 1000 + 60 * i);
    // New York is whole hours from UTC: the hour's bins are the same.
    const logReturn = openTime.map((time, i) => {
      const size = 1e-3 * week[(time / 300 - ((time / 300) % 1)) % 12]! * minute[(time / 60) % 60]!;
      return i % 2 === 0 ? size : -size;
    });
    const levels = multiScaleLevels({ openTime, logReturn }, (time) => seasonalFactor({ week, minute }, time, 60), {
      stepSeconds: 60,
      halfLifeSeconds,
    });
    for (const level of levels) assert.ok(Math.abs(level / 1e-3 - 1) < 1e-12, `${level}`);
  });
});

describe("zero share", () => {
  it("counts exact zeros among the newest bars, and is unknown with fewer", () => {
    const returns = returnsOf([0, 0, 0, 1e-12, -0, 0.1, 0, -0.1]);
    const share = (count: number): number | null => zeroShare(returns, () => true, { least: count, most: count });
    assert.equal(share(3), 1 / 3);
    assert.equal(share(8), 5 / 8);
    assert.equal(share(9), null);
    assert.equal(
      zeroShare(returns, (time) => time < returns.openTime[4]!, { least: 1, most: 8 }),
      3 / 4,
    );
  });

  it("leaves out bars that stand still for an hour, and no shorter run", () => {
    const values = [0.1, ...new Array<number>(12).fill(0), 0.1, ...new Array<number>(11).fill(0)];
    const still = stillBars(returnsOf(values), 300);
    assert.deepEqual([...still], [0, ...new Array<number>(12).fill(1), 0, ...new Array<number>(11).fill(0)]);
    assert.equal(withoutBars(returnsOf(values), still).logReturn.length, 13);
    assert.equal(stillBars(returnsOf([...values, 0]), 300).at(-1), 1);
  });
});
