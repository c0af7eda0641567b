import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { CandleGenerator } from "../../../src/feeds/recorded/generator.ts";
import { ASSET_SYMBOLS, ASSETS } from "../../../src/market/assets.ts";
import { isValidCandle, type Candle } from "../../../src/market/candle.ts";

const DAY = 86_400;
const START = Date.parse("2026-03-02T00:00:00Z") / 1000;

function logReturns(candles: readonly Candle[]): number[] {
  return candles.map(({ open, close }) => Math.log(close / open));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function correlation(left: readonly number[], right: readonly number[]): number {
  const [meanLeft, meanRight] = [mean(left), mean(right)];
  const product = mean(left.map((value, index) => (value - meanLeft) * (right[index]! - meanRight)));
  const variances =
    mean(left.map((value) => (value - meanLeft) ** 2)) * mean(right.map((value) => (value - meanRight) ** 2));
  return product / Math.sqrt(variances);
}

describe("CandleGenerator", () => {
  it("gives the same minute whatever range is asked, in whatever order", () => {
    const whole = new CandleGenerator({ seed: 7, asset: "ETH" }).range(START, START + 4 * DAY);
    fc.assert(
      fc.property(fc.nat(3 * 1440 - 1), fc.integer({ min: 1, max: 300 }), fc.nat(59), (first, count, second) => {
        const from = START + first * 60;
        const part = new CandleGenerator({ seed: 7, asset: "ETH" }).range(from - second, from + count * 60 - second);
        assert.deepEqual(part, whole.slice(first, first + part.length));
      }),
      { numRuns: 30 },
    );
  });

  it("differs by seed and asset", () => {
    const closeOf = (seed: number, asset: "BTC" | "ETH"): number =>
      new CandleGenerator({ seed, asset }).range(START, START + 60)[0]!.close / ASSETS[asset].referencePrice;
    assert.notEqual(closeOf(1, "BTC"), closeOf(2, "BTC"));
    assert.notEqual(closeOf(1, "BTC"), closeOf(1, "ETH"));
  });

  it("makes unbroken valid bars near the reference price for every asset, at any time", () => {
    for (const asset of ASSET_SYMBOLS) {
      for (const start of [START, START + 2500 * DAY]) {
        const candles = new CandleGenerator({ seed: 1, asset }).range(start - DAY, start + DAY);
        assert.equal(candles.length, 2880);
        assert.ok(candles.every((candle) => isValidCandle(candle) && candle.volume !== null && candle.volume > 0));
        assert.ok(candles.every(({ open }, index) => index === 0 || open === candles[index - 1]!.close));
        // The level's own standard deviation is at most 5 daily ones.
        const distance = Math.abs(Math.log(candles[0]!.open / ASSETS[asset].referencePrice));
        assert.ok(distance < 25 * ASSETS[asset].referenceSigmaPerHour * Math.sqrt(24), `${asset} ${distance}`);
      }
    }
  });

  it("looks like a market: the reference volatility, fat tails, clustering, quiet weekends, no drift in returns", () => {
    // Four assets, eight weeks: sampling errors of these statistics are well inside the bounds.
    for (const asset of ["BTC", "HYPE", "XAU", "NVDAX"] as const) {
      const candles = new CandleGenerator({ seed: 3, asset }).range(START, START + 56 * DAY);
      const returns = logReturns(candles);
      const squares = returns.map((value) => value ** 2);
      const variance = mean(squares);
      const sigmaPerHour = Math.sqrt(variance * 60);
      assert.ok(sigmaPerHour > 0.5 * ASSETS[asset].referenceSigmaPerHour, `${asset} ${sigmaPerHour}`);
      assert.ok(sigmaPerHour < 1.6 * ASSETS[asset].referenceSigmaPerHour, `${asset} ${sigmaPerHour}`);
      const kurtosis = mean(returns.map((value) => value ** 4)) / variance ** 2;
      assert.ok(kurtosis > 5, `${asset} kurtosis ${kurtosis}`);
      const sizes = returns.map(Math.abs);
      for (const lag of [1, 10, 60]) {
        const clustering = correlation(sizes.slice(lag), sizes.slice(0, -lag));
        assert.ok(clustering > 0.1, `${asset} lag ${lag} ${clustering}`);
      }
      // With four degrees of freedom a single lag of the squares is mostly noise; thirty are not.
      const lags = Array.from({ length: 30 }, (_, index) => index + 1);
      const squared = mean(lags.map((lag) => correlation(squares.slice(lag), squares.slice(0, -lag))));
      assert.ok(squared > 0.01, `${asset} squares ${squared}`);
      assert.ok(Math.abs(correlation(returns.slice(1), returns.slice(0, -1))) < 0.05, asset);
      const isWeekend = ({ openTime }: Candle): boolean => [0, 6].includes(new Date(openTime * 1000).getUTCDay());
      const weekend = mean(squares.filter((_, index) => isWeekend(candles[index]!)));
      const weekdays = mean(squares.filter((_, index) => !isWeekend(candles[index]!)));
      assert.ok(weekend < 0.8 * weekdays, `${asset} ${weekend / weekdays}`);
    }
  });
});
