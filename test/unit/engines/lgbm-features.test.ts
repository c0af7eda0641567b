import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { LEAD_SECONDS, lgbmFeatureNames, lgbmFeatures, type LgbmBasis } from "../../../src/engines/lgbm/features.ts";
import { unixSeconds } from "../../../src/units.ts";
import type { CandleColumns, VolatilityState } from "../../../src/volatility/state.ts";
import { horizonOf } from "../../support/ewma-calibration.ts";
import { START_TIME, volatilityState } from "../../support/forecast-inputs.ts";

/** A flat rhythm. */
function basisOf(stepSeconds: 60 | 300): LgbmBasis {
  const weekly = { week: new Float64Array(2016).fill(1), minute: new Float64Array(60).fill(1) };
  const leadSeconds = LEAD_SECONDS[stepSeconds === 60 ? "1h" : "24h"];
  return { horizon: horizonOf(stepSeconds), weekly, offHoursMultiplier: 1, leadSeconds };
}

/** A walk of minutes with wicks, from a fixed seed; the newest opens at `newest`. */
function walk(minutes: number, seed = 1, newest = START_TIME - 120): VolatilityState {
  let random = seed;
  // Park & Miller (1988).
  const draw = (): number => (random = (random * 48_271) % 2_147_483_647) / 2_147_483_647;
  const close = new Float64Array(minutes);
  let price = 100;
  for (let i = 0; i < minutes; i++) close[i] = price *= Math.exp(0.002 * (draw() - 0.5));
  const open = close.map((own, i) => close[i - 1] ?? own);
  const high = close.map((own, i) => Math.max(own, open[i]!) * Math.exp(0.001 * draw()));
  const low = close.map((own, i) => Math.min(own, open[i]!) * Math.exp(-0.001 * draw()));
  const base = volatilityState({ minutes, newest: unixSeconds(newest) });
  return { ...base, candles: { ...base.candles, open, high, low, close } };
}

function featuresOf(state: VolatilityState, basis = basisOf(300), start: number = START_TIME): Record<string, number> {
  const found = lgbmFeatures(state, basis, start);
  assert.ok(!("code" in found), JSON.stringify(found));
  const names = lgbmFeatureNames(basis);
  assert.equal(found.length, names.length);
  return Object.fromEntries(names.map((name, i) => [name, found[i]!]));
}

function changed(state: VolatilityState, change: (candles: CandleColumns) => CandleColumns): VolatilityState {
  return { ...state, candles: change(state.candles) };
}

/** Each five minutes as their last one, with their high and low, as recordings of five-minute bars stand in a state. */
function asBars(state: VolatilityState): VolatilityState {
  return changed(state, ({ openTime, open, high, low, close }) => {
    const last = Array.from(openTime.keys()).filter((i) => (openTime[i]! + 60) % 300 === 0 && i >= 4);
    const pick = (of: (i: number) => number): Float64Array => Float64Array.from(last, of);
    return {
      openTime: pick((i) => openTime[i]!),
      open: pick((i) => open[i - 4]!),
      high: pick((i) => Math.max(...high.subarray(i - 4, i + 1))),
      low: pick((i) => Math.min(...low.subarray(i - 4, i + 1))),
      close: pick((i) => close[i]!),
      volume: pick(() => NaN),
    };
  });
}

/** Differences of more than the last bits of 32. */
function assertClose(found: Record<string, number>, expected: Record<string, number>): void {
  for (const [name, value] of Object.entries(expected)) {
    assert.ok(
      Math.abs(found[name]! - value) <= 2e-6 * Math.max(1, Math.abs(value)),
      `${name}: ${found[name]!}, ${value}`,
    );
  }
}

describe("features of the boosters", () => {
  it("are the same of minutes and of five-minute bars", () => {
    // Whole bars, and three minutes of the next.
    const minutes = walk(5 * 300 + 3, 7, START_TIME + 120);
    const [found, expected] = [asBars(minutes), minutes].map((state) =>
      featuresOf(state, basisOf(300), START_TIME + 300),
    );
    assertClose(found!, expected!);
  });

  it("know no level of prices", () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-3, max: 1e5, noNaN: true }), fc.integer({ min: 1, max: 1e6 }), (factor, seed) => {
        const state = walk(1500, seed);
        const scaled = changed(state, (candles) => {
          const by = (values: Float64Array): Float64Array => values.map((value) => value * factor);
          const { open, high, low, close } = candles;
          return { ...candles, open: by(open), high: by(high), low: by(low), close: by(close) };
        });
        assertClose(featuresOf(scaled, basisOf(60)), featuresOf(state, basisOf(60)));
      }),
      { numRuns: 20 },
    );
  });

  it("stay what they are but for the levels when all moves double", () => {
    const state = walk(2000);
    const wilder = changed(state, (candles) => {
      const twice = (values: Float64Array): Float64Array => values.map((value) => 100 * (value / 100) ** 2);
      const { open, high, low, close } = candles;
      return { ...candles, open: twice(open), high: twice(high), low: twice(low), close: twice(close) };
    });
    const [found, expected] = [featuresOf(wilder, basisOf(60)), featuresOf(state, basisOf(60))];
    for (const name of Object.keys(expected)) if (name.startsWith("level")) expected[name]! += Math.LN2;
    assertClose(found, expected);
  });

  it("are mirrored with the market: returns and places turn, sizes and ranges stay", () => {
    const state = walk(2000);
    const mirrored = changed(state, (candles) => {
      const turned = (values: Float64Array): Float64Array => values.map((value) => 1e4 / value);
      const { open, high, low, close } = candles;
      return { ...candles, open: turned(open), high: turned(low), low: turned(high), close: turned(close) };
    });
    const expected = featuresOf(state, basisOf(60));
    for (const name of Object.keys(expected)) {
      if (name.startsWith("return")) expected[name]! *= -1;
      if (name.startsWith("place")) expected[name] = 1 - expected[name]!;
    }
    assertClose(featuresOf(mirrored, basisOf(60)), expected);
  });

  it("lay bars end to end over a closed market: a gap in price and time moves no range and no return", () => {
    const before = walk(900, 3, START_TIME - 120 - 601 * 60);
    const after = walk(600, 4);
    const joined = (gap: number): VolatilityState =>
      changed(before, (old) => {
        const both = (name: keyof CandleColumns, factor: number): Float64Array =>
          Float64Array.from([...old[name], ...after.candles[name].map((value) => value * factor)]);
        const price = (name: "open" | "high" | "low" | "close"): Float64Array => both(name, gap);
        return {
          openTime: both("openTime", 1),
          ...{ open: price("open"), high: price("high"), low: price("low"), close: price("close") },
          volume: both("volume", 1),
        };
      });
    const shifted = joined(1);
    // An hour is missing in between, so the first bar after it has no return.
    shifted.candles.openTime.forEach((time, i) => {
      if (i < 900) shifted.candles.openTime[i] = time - 3600;
    });
    const jumped = changed(shifted, (candles) => {
      const jump = (values: Float64Array): Float64Array => values.map((value, i) => (i < 900 ? value * 1.5 : value));
      return {
        ...candles,
        ...{ open: jump(candles.open), high: jump(candles.high) },
        ...{ low: jump(candles.low), close: jump(candles.close) },
      };
    });
    const basis = basisOf(300);
    const [plain, moved] = [
      featuresOf({ ...shifted, warmFrom: unixSeconds(0) }, basis),
      featuresOf({ ...jumped, warmFrom: unixSeconds(0) }, basis),
    ];
    assertClose(moved, plain);
    assert.ok(Number.isFinite(plain["return_240"]));
  });

  it("miss what the history is too short for, and nothing else", () => {
    const found = featuresOf(walk(150), basisOf(60));
    const missing = Object.keys(found).filter((name) => Number.isNaN(found[name]));
    assert.deepEqual(missing, ["return_240", "size_240", "place_240"]);
  });

  it("have windows by hand: ups and downs of one size", () => {
    const state = volatilityState({ minutes: 600, swing: 1e-3 });
    const found = featuresOf(state, basisOf(60), state.candles.openTime.at(-1)! + 60 + 120);
    assert.ok(Math.abs(Math.abs(found["return_1"]!) - 1) < 1e-6);
    assert.ok(Math.abs(found["return_10"]!) < 1e-6);
    assert.ok(Math.abs(found["size_60"]! - 1) < 1e-6);
    assert.ok(Math.abs(found["range_12"]! - 1 / Math.sqrt(12)) < 1e-6);
    assert.ok(Math.abs(found["place_60"]! - (found["return_1"]! > 0 ? 1 : 0)) < 1e-6);
    assert.ok(Math.abs(found["age"]! - Math.log1p(2)) < 1e-6);
    assert.equal(found["zero_share"], 0);
  });

  it("tell the rhythm of the time up to each lead against that of now", () => {
    const basis = basisOf(300);
    const state = walk(1500);
    const last = state.candles.openTime.at(-1)! + 60;
    const start = last - (last % 300) + 300;
    const bin = (time: number): number => Math.floor(((time - 4 * 86_400) % 604_800) / 300);
    // The week's bins begin on Monday, New York time (four hours behind UTC in October).
    const week = new Float64Array(2016).fill(1);
    week[bin(start - 4 * 3600)] = 3;
    const found = featuresOf(state, { ...basis, weekly: { ...basis.weekly, week } }, start);
    assert.ok(Math.abs(found["weekly_300s"]! - Math.log(3)) < 1e-6, String(found["weekly_300s"]));
    assert.equal(found["weekly_1800s"], 0);
    assert.equal(found["weekly_86400s"], 0);
  });

  it("say why there are none", () => {
    const found = lgbmFeatures(walk(50), basisOf(60), START_TIME);
    assert.equal("code" in found && found.code, "calibration/too_short");
  });
});
