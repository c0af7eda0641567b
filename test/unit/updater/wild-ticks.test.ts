import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Candle } from "../../../src/market/candle.ts";
import { unixSeconds } from "../../../src/units.ts";
import { tameCandles } from "../../../src/updater/wild-ticks.ts";

/** A minute each, from 0 on. */
function candles(...closes: readonly number[]): Candle[] {
  return closes.map((close, i) => {
    return { openTime: unixSeconds(i * 60), open: close, high: close, low: close, close, volume: 1 };
  });
}

function closesOf(tamed: ReturnType<typeof tameCandles>): { kept: number[]; wild: number[]; heldBack: number } {
  const close = (candle: Candle): number => candle.close;
  return { kept: tamed.candles.map(close), wild: tamed.wild.map(close), heldBack: tamed.heldBack };
}

describe("wild ticks", () => {
  it("within a tenth of each other are none, whatever the walk", () => {
    const steps = fc.array(fc.double({ min: -0.095, max: 0.095, noNaN: true }), { maxLength: 60 });
    fc.assert(
      fc.property(steps, (returns) => {
        let price = 100;
        const walk = candles(...returns.map((step) => (price *= Math.exp(step))));
        assert.deepEqual(tameCandles(walk, 100), { candles: walk, wild: [], heldBack: 0 });
      }),
    );
  });

  it("every candle is kept in order, wild, or among the held back, and a walk with ticks is given back without them", () => {
    const walk = fc.array(fc.double({ min: -0.03, max: 0.03, noNaN: true }), { minLength: 8, maxLength: 60 });
    const factor = fc.constantFrom(0.001, 0.1, 0.7, 1.5, 10, 1e6);
    fc.assert(
      fc.property(walk, factor, fc.nat(), (returns, wildFactor, at) => {
        let price = 100;
        const sound = candles(...returns.map((step) => (price *= Math.exp(step))));
        const index = at % (sound.length - 2);
        const ticked = sound.map((c, i) => (i === index ? { ...c, close: c.close * wildFactor } : c));
        const tamed = tameCandles(ticked, 100);
        assert.deepEqual(tamed.candles, sound.toSpliced(index, 1));
        assert.deepEqual(tamed.wild, [ticked[index]]);
        assert.equal(tamed.heldBack, 0);
      }),
    );
  });

  it("a jump is held back until two candles stayed there", () => {
    assert.deepEqual(closesOf(tameCandles(candles(100, 130), 100)), { kept: [100], wild: [], heldBack: 1 });
    assert.deepEqual(closesOf(tameCandles(candles(100, 130, 131), 100)), { kept: [100], wild: [], heldBack: 2 });
    const believed = closesOf(tameCandles(candles(100, 130, 131, 129), 100));
    assert.deepEqual(believed, { kept: [100, 130, 131, 129], wild: [], heldBack: 0 });
  });

  it("two in a row are taken out, a third is a new level", () => {
    const two = closesOf(tameCandles(candles(100, 300, 310, 101), 100));
    assert.deepEqual(two, { kept: [100, 101], wild: [300, 310], heldBack: 0 });
    const three = closesOf(tameCandles(candles(100, 300, 310, 305, 101, 100, 100), 100));
    assert.deepEqual(three.kept, [100, 300, 310, 305, 101, 100, 100]);
  });

  it("nothing is known before the first candle of all", () => {
    assert.deepEqual(closesOf(tameCandles(candles(1, 1.01), null)).kept, [1, 1.01]);
    assert.deepEqual(tameCandles([], null), { candles: [], wild: [], heldBack: 0 });
  });
});
