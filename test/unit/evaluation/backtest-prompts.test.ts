import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { createProgress, progressLine } from "../../../src/evaluation/backtest/progress.ts";
import { observationTime } from "../../../src/evaluation/backtest/data.ts";
import { isGrid } from "../../../src/evaluation/backtest/plan.ts";
import { defaultStride, parseDuration, rollingPrompts } from "../../../src/evaluation/backtest/prompts.ts";
import { SteppedClock } from "../../support/stepped-clock.ts";

const DAY = 86_400;

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

describe("origins", () => {
  it("default strides are coprime with a day in their unit and give at least as many prompts as the protocol wants", () => {
    fc.assert(
      fc.property(fc.integer({ min: 40, max: 2000 }), fc.constantFrom("1h", "24h"), (days, horizon) => {
        const stride = defaultStride(horizon, { from: 0, to: days * DAY });
        const unit = horizon === "1h" ? 60 : 300;
        assert.equal(gcd(stride / unit, DAY / unit), 1);
        const prompts = rollingPrompts(["BTC"], { horizon, from: 0, to: days * DAY, strideSeconds: stride });
        const wanted = horizon === "1h" ? 500 : 150;
        assert.ok(prompts.length >= wanted && prompts.length < 2 * wanted, `${prompts.length}`);
      }),
      { seed: 5 },
    );
  });

  it("prompts lie inside the span, the last one may end with it", () => {
    const span = { horizon: "24h", from: 1000, to: 1000 + 3 * DAY, strideSeconds: DAY } as const;
    assert.deepEqual(
      rollingPrompts(["BTC", "XAU"], span).map(({ asset, start }) => [asset, start]),
      ["BTC", "XAU"].flatMap((asset) => [0, 1, 2].map((day) => [asset, 1000 + day * DAY])),
    );
    assert.deepEqual(rollingPrompts(["BTC"], { ...span, to: 1000 + DAY - 1 }), []);
  });

  it("durations", () => {
    assert.deepEqual(["4020", "4020s", "67m", "2h", "1d"].map(parseDuration), [4020, 4020, 4020, 7200, DAY]);
    for (const text of ["", "0", "-5", "1.5h", "67 m", "abc", "1w"]) assert.equal(parseDuration(text), null);
  });

  it("grids: whole steps, and not too many", () => {
    const grid = (horizonSeconds: number, stepSeconds: number): boolean =>
      isGrid({ asset: "BTC", start: 0, horizonSeconds, stepSeconds });
    assert.ok(grid(DAY, 300) && grid(3600, 60) && grid(300, 300));
    for (const [horizon, step] of [
      [DAY, 7],
      [0, 60],
      [60, 0],
      [NaN, 60],
      [3600, -60],
      [300, 600],
      [1e9, 1],
    ] as const) {
      assert.ok(!grid(horizon, step), `${horizon} by ${step}`);
    }
  });
});

describe("the price at T", () => {
  it("with minutes is the close of the minute that opens at T, known a minute later", () => {
    assert.equal(observationTime(600, "1m"), 660);
    assert.equal(observationTime(659, "1m"), 660);
  });

  it("with five-minute bars is the first close at or after T", () => {
    assert.equal(observationTime(600, "5m"), 600);
    assert.equal(observationTime(601, "5m"), 900);
    assert.equal(observationTime(899, "5m"), 900);
  });

  it("is never known at the cut-off, and a horizon keeps its length", () => {
    fc.assert(
      fc.property(fc.nat(1e9), fc.constantFrom("1m", "5m"), fc.integer({ min: 1, max: 288 }), (time, resolution, k) => {
        assert.ok(observationTime(time, resolution) > time - 60);
        const step = resolution === "1m" ? 60 : 300;
        assert.equal(observationTime(time + k * step, resolution) - observationTime(time, resolution), k * step);
      }),
      { seed: 6 },
    );
  });
});

describe("progress", () => {
  it("shows share, elapsed and remaining time", () => {
    assert.match(progressLine(0.25, 30_000), /^\[#{8}-{22}\] {2}25 % {2}elapsed 0:30 {2}ETA 1:30$/);
    assert.match(progressLine(0, 0), /ETA \?$/);
  });

  it("redraws one line on a terminal, and prints a line every ten seconds elsewhere", () => {
    for (const isTerminal of [true, false]) {
      const written: string[] = [];
      const clock = new SteppedClock(0);
      const progress = createProgress({ write: (text) => written.push(text), isTerminal, clock });
      for (let done = 1; done <= 20; done++) {
        clock.advance(1);
        progress.update(done, 20);
      }
      progress.end();
      assert.equal(written.length, isTerminal ? 21 : 2);
      assert.ok(written.every((text) => (isTerminal ? text.startsWith("\r") : text.endsWith("\n"))));
    }
  });
});
