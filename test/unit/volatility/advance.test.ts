import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import fc from "fast-check";
import { z } from "zod";
import type { Candle } from "../../../src/market/candle.ts";
import { unixSeconds } from "../../../src/units.ts";
import { advance, startState } from "../../../src/volatility/advance.ts";
import { variancePerStep } from "../../../src/volatility/ewma.ts";
import { addMinute } from "../../../src/volatility/resample.ts";
import { decodeState, encodeState } from "../../../src/volatility/state-codec.ts";
import type { OpenBucket, VolatilityState } from "../../../src/volatility/state.ts";
import { scriptedCandles } from "../../support/scripted-feed.ts";
import { ADVANCE, AUGUST, HALF_LIVES, scriptedState } from "../../support/volatility-fixture.ts";

const row = z.tuple([z.number(), z.number(), z.number(), z.number(), z.number(), z.number()]);
const vectors = z
  .object({
    ewma: z.object({ half_life_seconds: z.number(), candles: z.array(row), variance: z.number() }),
    five_minute: z.object({ candles: z.array(row), bars: z.array(row) }),
  })
  .parse(JSON.parse(readFileSync(new URL("../../vectors/volatility_pandas.json", import.meta.url), "utf8")));

function candleOf([t, open, high, low, close, volume]: z.infer<typeof row>): Candle {
  return { openTime: unixSeconds(t), open, high, low, close, volume };
}

function flat(openTime: number, close: number): Candle {
  return { openTime: unixSeconds(openTime), open: close, high: close, low: close, close, volume: null };
}

const START = startState({ asset: "BTC", source: "binance", ...HALF_LIVES });

describe("vectors made by pandas", () => {
  it("ewm(halflife, adjust=True) of squared log returns is our estimate", () => {
    const { half_life_seconds: halfLifeMinuteSeconds, candles, variance } = vectors.ewma;
    const state = advance({ ...START, halfLifeMinuteSeconds }, candles.map(candleOf), ADVANCE);
    // Both sum 399 positive terms; only the order of additions differs.
    assert.ok(Math.abs(variancePerStep(state.sigma2Minute)! / variance - 1) < 1e-12);
  });

  it("resample(5min) with holes gives our completed bars", () => {
    const completed: OpenBucket[] = [];
    let open: OpenBucket | null = null;
    for (const candle of vectors.five_minute.candles.map(candleOf)) {
      const next = addMinute(open, candle);
      completed.push(...next.completed);
      open = next.open;
    }
    const bars = completed.slice(0, vectors.five_minute.bars.length);
    assert.ok(completed.length - bars.length <= 1);
    assert.deepEqual(
      bars.map((bar) => [bar.openTime, bar.open, bar.high, bar.low, bar.close, Number(bar.volume.toFixed(9))]),
      vectors.five_minute.bars.map(([t, o, h, l, c, v]) => [t, o, h, l, c, Number(v.toFixed(9))]),
    );
  });
});

/** Minutes until the next candle, its log return, and whether it has a volume: holes, duplicates, jumps and restarts. */
const moves = fc.array(
  fc.record({
    minutes: fc.oneof(
      { weight: 20, arbitrary: fc.constant(1) },
      { weight: 4, arbitrary: fc.integer({ min: -2, max: 30 }) },
      { weight: 1, arbitrary: fc.integer({ min: 4000, max: 6000 }) },
    ),
    logReturn: fc.oneof(
      { weight: 30, arbitrary: fc.double({ min: -0.01, max: 0.01, noNaN: true }) },
      { weight: 1, arbitrary: fc.constantFrom(-2, 2) },
    ),
    traded: fc.boolean(),
  }),
  { maxLength: 60 },
);

function candlesOf(series: readonly { minutes: number; logReturn: number; traded: boolean }[]): Candle[] {
  let [time, logPrice] = [AUGUST, 4];
  return series.map(({ minutes, logReturn, traded }) => {
    time += minutes * 60;
    logPrice += logReturn;
    return { ...flat(time, Math.exp(logPrice)), volume: traded ? 1 : null };
  });
}

function throughFile(state: VolatilityState): VolatilityState {
  if (state.candleCount === 0) return state;
  const decoded = decodeState(encodeState(state));
  assert.ok(decoded.ok, decoded.ok ? "" : decoded.reason);
  return decoded.state;
}

describe("advance", () => {
  it("in two parts, through a file in between, is the same to the last bit", () => {
    const options = { ...ADVANCE, retentionSeconds: 40 * 60 };
    fc.assert(
      fc.property(moves, fc.nat(60), fc.constantFrom("binance", "pyth"), (series, cut, source) => {
        const candles = candlesOf(series);
        const whole = advance(START, candles, { ...options, source });
        const first = advance(START, candles.slice(0, cut), { ...options, source });
        assert.deepStrictEqual(
          throughFile(advance(throughFile(first), candles.slice(cut), { ...options, source })),
          whole,
        );
      }),
      { seed: 2, numRuns: 400 },
    );
  });

  it("ignores candles it knows and older ones", () => {
    const state = scriptedState("BTC", 50);
    assert.equal(advance(state, scriptedCandles("BTC", { from: AUGUST - 600, to: AUGUST + 3000 }), ADVANCE), state);
  });

  it("decays by elapsed time: a gap of n minutes weighs as n steps of r²/n", () => {
    const n = 30;
    const r = 0.03;
    const before = scriptedState("BTC", 500);
    const last = before.candles.close.at(-1)!;
    const time = before.candles.openTime.at(-1)!;
    const after = advance(before, [flat(time + n * 60, last * Math.exp(r))], ADVANCE);
    const w = 2 ** (-n / 60);
    const expected = w * before.sigma2Minute.value + (1 - w) * (r ** 2 / n);
    assert.ok(Math.abs(after.sigma2Minute.value / expected - 1) < 1e-12);
    assert.equal(after.gapCount, before.gapCount + 1);
    // The same per-step variance on every missing minute would have led to the same moment.
    let each = before.sigma2Minute.value;
    for (let step = 0; step < n; step += 1) each = 2 ** (-1 / 60) * each + (1 - 2 ** (-1 / 60)) * (r ** 2 / n);
    assert.ok(Math.abs(after.sigma2Minute.value / each - 1) < 1e-12);
  });

  it("estimates the variance of a constant |return| exactly, from the first return on", () => {
    const candles = Array.from({ length: 200 }, (_, i) => flat(AUGUST + 60 * i, i % 2 === 0 ? 100 : 101));
    const r2 = Math.log(1.01) ** 2;
    for (const count of [2, 3, 200]) {
      const state = advance(START, candles.slice(0, count), ADVANCE);
      assert.ok(Math.abs(variancePerStep(state.sigma2Minute)! / r2 - 1) < 1e-9);
    }
    assert.equal(variancePerStep(advance(START, candles.slice(0, 1), ADVANCE).sigma2Minute), null);
  });

  it("restarts after a gap longer than the warm-up, not after one as long", () => {
    const before = scriptedState("BTC", 100);
    const last = before.candles.openTime.at(-1)!;
    const price = before.candles.close.at(-1)!;
    const held = advance(before, [flat(last + ADVANCE.warmupSeconds, price)], ADVANCE);
    assert.equal(held.warmFrom, AUGUST);
    assert.equal(held.candleCount, 101);
    const restarted = advance(before, [flat(last + ADVANCE.warmupSeconds + 60, price)], ADVANCE);
    // What the market's weeks taught stays.
    const fresh = startState({ ...START, seasonality: before.seasonality });
    assert.deepStrictEqual(restarted, advance(fresh, [flat(last + ADVANCE.warmupSeconds + 60, price)], ADVANCE));
    assert.ok(before.seasonality.until > 0);
  });

  it("restarts at a jump to another price level and names the new source", () => {
    const before = scriptedState("BTC", 100);
    const next = { ...flat(AUGUST + 6000, before.candles.close.at(-1)! / 10) };
    const after = advance(before, [next], { ...ADVANCE, source: "pyth" });
    assert.equal(after.warmFrom, next.openTime);
    assert.equal(after.source, "pyth");
    assert.deepEqual(after.sigma2Minute, { value: 0, mass: 0 });
    const gentle = advance(before, [flat(AUGUST + 6000, before.candles.close.at(-1)! * 1.01)], ADVANCE);
    assert.equal(gentle.warmFrom, AUGUST);
  });

  it("keeps seven days of candles to the minute", () => {
    const state = scriptedState("BTC", 7 * 1440 + 100);
    assert.equal(state.candles.openTime.length, 7 * 1440);
    assert.equal(state.candleCount, 7 * 1440 + 100);
    assert.equal(state.candles.openTime[0], AUGUST + 100 * 60);
  });

  it("takes five-minute returns from completed bars only", () => {
    const four = scriptedState("BTC", 9);
    assert.equal(four.openBucket?.minutes, 4);
    assert.equal(four.sigma2FiveMinute.mass, 0);
    const ten = scriptedState("BTC", 10);
    assert.equal(ten.openBucket, null);
    const r = Math.log(ten.candles.close[9]! / ten.candles.close[4]!);
    assert.ok(Math.abs(variancePerStep(ten.sigma2FiveMinute)! / r ** 2 - 1) < 1e-9);
  });
});

describe("a change of source", () => {
  const before = scriptedState("XAU", 600);
  const last = before.candles.close.at(-1)!;
  const next = AUGUST + 600 * 60;

  it("is no return: the basis between two sources leaves the variance as it was", () => {
    const after = advance(before, [flat(next, last * 1.005)], { ...ADVANCE, source: "pyth" });
    const relative = (a: number | null, b: number | null): number => Math.abs(a! / b! - 1);
    assert.ok(relative(variancePerStep(after.sigma2Minute), variancePerStep(before.sigma2Minute)) < 1e-12);
    assert.ok(relative(variancePerStep(after.sigma2FiveMinute), variancePerStep(before.sigma2FiveMinute)) < 1e-12);
    assert.equal(after.source, "pyth");
    assert.equal(after.candleCount, before.candleCount + 1);
    assert.ok(after.sigma2Minute.mass < before.sigma2Minute.mass);
  });

  it("takes returns again within the new source, minutes and five minutes", () => {
    const options = { ...ADVANCE, source: "pyth" as const };
    const candles = Array.from({ length: 15 }, (_, i) => flat(next + i * 60, last * 1.005 * (1 + 0.02 * (i % 2))));
    const after = advance(before, candles, options);
    assert.ok(variancePerStep(after.sigma2Minute)! > 2 * variancePerStep(before.sigma2Minute)!);
    assert.ok(after.sigma2FiveMinute.value !== before.sigma2FiveMinute.value);
    assert.deepEqual(advance(advance(before, candles.slice(0, 7), options), candles.slice(7), options), after);
  });
});
