import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { attemptMs, reservedMs } from "../../../src/engines/attempt-time.ts";

/** Longest times of `rows` of which each but the last uses up its own; `failAtOnce`: none of it. */
function times(options: { rows: number; leftMs: number; failAtOnce?: boolean; sound?: boolean }): number[] {
  const longestMs = 10_000;
  const reserved = reservedMs({ leftMs: options.leftMs, longestMs });
  let { leftMs } = options;
  return Array.from({ length: options.rows }, (_, i) => {
    const threadFailed = i > 0 && options.sound !== true;
    const rowsBehind = options.rows - 1 - i;
    const timeMs = attemptMs({ leftMs, reservedMs: reserved, longestMs, rowsBehind, threadFailed });
    if (!options.failAtOnce) leftMs -= Math.max(0, timeMs);
    return Math.round(timeMs);
  });
}

describe("time of the attempts at a forecast", () => {
  it("is seven tenths for the first of two rows, and the rest for the last", () => {
    assert.deepEqual(times({ rows: 2, leftMs: 1000 }), [700, 300]);
    assert.deepEqual(times({ rows: 2, leftMs: 10_000 }), [7000, 3000]);
  });

  it("is shared with the rows between, and the last keeps as much as of two", () => {
    assert.deepEqual(times({ rows: 3, leftMs: 10_000 }), [4900, 2100, 3000]);
    assert.deepEqual(times({ rows: 4, leftMs: 10_000 }), [4900, 1470, 630, 3000]);
  });

  it("is the longest there is for every row while the deadline is far", () => {
    assert.deepEqual(times({ rows: 3, leftMs: Infinity }), [7000, 7000, 10_000]);
    assert.deepEqual(times({ rows: 4, leftMs: 120_000 }), [7000, 7000, 7000, 10_000]);
  });

  it("is not shared where a share would be too short: the rows between are passed over", () => {
    assert.deepEqual(times({ rows: 3, leftMs: 2000 }), [1400, 0, 600]);
    assert.deepEqual(times({ rows: 4, leftMs: 3000 }), [1470, 630, 0, 900]);
  });

  it("is all but the last row's for the next row when a thread dies at once", () => {
    assert.deepEqual(times({ rows: 3, leftMs: 1000, failAtOnce: true }), [700, 700, 1000]);
    assert.deepEqual(times({ rows: 3, leftMs: 300, failAtOnce: true }), [210, 0, 300]);
  });

  it("is given in any amount while no thread was lost", () => {
    assert.deepEqual(times({ rows: 3, leftMs: 300, failAtOnce: true, sound: true }), [210, 210, 300]);
  });

  it("is never more than there is, and always leaves the last row its part", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 5 }), fc.integer({ min: 1, max: 200_000 }), (rows, leftMs) => {
        const found = times({ rows, leftMs });
        const sumMs = found.reduce((sum, ms) => sum + ms, 0);
        assert.ok(sumMs <= leftMs + rows, "rounded to whole milliseconds");
        assert.ok(found.at(-1)! >= Math.floor(0.3 * Math.min(leftMs, 10_000)));
        assert.ok(found[0]! > 0 || leftMs < 2);
      }),
    );
  });
});
