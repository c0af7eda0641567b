import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Circuit } from "../../../src/feeds/circuit.ts";
import { parseRetryAfter } from "../../../src/feeds/http.ts";
import { RateWindow } from "../../../src/feeds/rate-window.ts";
import { unixMillis } from "../../../src/units.ts";
import { HandClock } from "../../support/recorded-market-feeds.ts";

describe("parseRetryAfter", () => {
  const now = Date.parse("2026-11-21T10:00:00Z");
  for (const [header, expected] of [
    ["3", 3000],
    ["0", 0],
    ["0.05", 50],
    ["9999999999", 9_999_999_999_000],
    ["Sat, 21 Nov 2026 10:00:30 GMT", 30_000],
    ["Sat, 21 Nov 2026 09:00:00 GMT", 0],
    ["-5", null],
    ["soon", null],
    ["", null],
    [undefined, null],
  ] as const) {
    it(`${String(header)} is ${String(expected)} ms`, () => {
      assert.equal(parseRetryAfter(header, now), expected);
    });
  }
});

describe("Circuit", () => {
  const at = unixMillis;

  it("opens after consecutive failures, lets one trial out, closes on its success", () => {
    const circuit = new Circuit({ failures: 2, openMs: 1000 });
    assert.equal(circuit.fail("normal", at(0)), false);
    circuit.succeed("normal");
    assert.equal(circuit.fail("normal", at(0)), false);
    assert.equal(circuit.fail("normal", at(0)), true);
    assert.equal(circuit.admit(at(999)), null);
    assert.equal(circuit.admit(at(1000)), "trial");
    assert.equal(circuit.admit(at(1000)), null);
    assert.equal(circuit.fail("trial", at(1000)), true);
    assert.equal(circuit.admit(at(1999)), null);
    assert.equal(circuit.admit(at(2000)), "trial");
    circuit.succeed("trial");
    assert.equal(circuit.admit(at(2000)), "normal");
  });

  it("is not closed by a late success from before it opened, and a trial given up frees the place", () => {
    const circuit = new Circuit({ failures: 1, openMs: 1000 });
    circuit.open(at(0), 5000);
    circuit.succeed("normal");
    assert.equal(circuit.admit(at(4999)), null);
    assert.equal(circuit.admit(at(5000)), "trial");
    circuit.release("trial");
    assert.equal(circuit.admit(at(5000)), "trial");
  });

  it("stays open for no longer than its pause when the clock is set back", () => {
    const circuit = new Circuit({ failures: 1, openMs: 1000 });
    circuit.open(at(1_000_000), 5000);
    assert.equal(circuit.admit(at(0)), null);
    assert.equal(circuit.admit(at(4999)), null);
    assert.equal(circuit.admit(at(5000)), "trial");
  });
});

describe("RateWindow", () => {
  async function taken(window: RateWindow, clock: HandClock, weight: number): Promise<void> {
    for (let waitMs = window.take(weight, 1); waitMs > 0; waitMs = window.take(weight, 1)) await clock.sleep(waitMs);
  }

  it("never spends more than the capacity in any window", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 40 }), fc.nat(3000)), { maxLength: 60 }),
        async (takes) => {
          const clock = new HandClock("2026-01-01T00:00:00Z");
          const window = new RateWindow({ windowMs: 10_000, capacity: 50, clock });
          const spent: { atMs: number; weight: number }[] = [];
          for (const [weight, pauseMs] of takes) {
            clock.advance(pauseMs);
            await taken(window, clock, weight);
            spent.push({ atMs: clock.nowMs(), weight });
          }
          for (const { atMs } of spent) {
            const inside = spent.filter((entry) => entry.atMs > atMs - 10_000 && entry.atMs <= atMs);
            assert.ok(inside.reduce((sum, entry) => sum + entry.weight, 0) <= 50);
          }
        },
      ),
    );
  });

  it("lets a heavier request than the capacity out alone, and says when to ask again", () => {
    const clock = new HandClock("2026-01-01T00:00:00Z");
    const window = new RateWindow({ windowMs: 1000, capacity: 10, clock });
    assert.equal(window.take(100, 0.8), 0);
    assert.equal(window.take(1, 0.8), 1000);
    clock.advance(1000);
    assert.equal(window.take(1, 0.8), 0);
  });
});
