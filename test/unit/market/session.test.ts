import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { usSessionShare } from "../../../src/market/session.ts";

const NEW_YORK = new Intl.DateTimeFormat("en-GB", {
  timeZone: "America/New_York",
  weekday: "short",
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
});

/** ICU's time zone data as the other implementation. */
function isOpenByIntl(seconds: number): boolean {
  const parts = Object.fromEntries(NEW_YORK.formatToParts(seconds * 1000).map(({ type, value }) => [type, value]));
  const minutes = Number(parts["hour"]) * 60 + Number(parts["minute"]);
  return !["Sat", "Sun"].includes(parts["weekday"]!) && minutes >= 570 && minutes < 960;
}

function at(iso: string): number {
  return Date.parse(iso) / 1000;
}

function isOpen(iso: string): boolean {
  return usSessionShare(at(iso), at(iso) + 60) === 1;
}

describe("regular US session", () => {
  it("agrees with ICU for every quarter hour of 2010 to 2024 sampled, daylight time included", () => {
    fc.assert(
      fc.property(fc.integer({ min: at("2010-01-01T00:00Z") / 900, max: at("2024-12-31T00:00Z") / 900 }), (quarter) => {
        assert.equal(usSessionShare(quarter * 900, quarter * 900 + 60) === 1, isOpenByIntl(quarter * 900));
      }),
      { seed: 1, numRuns: 3000 },
    );
  });

  it("opens at 13:30 UTC in summer and 14:30 UTC in winter", () => {
    assert.deepEqual([isOpen("2026-07-01T13:29Z"), isOpen("2026-07-01T13:30Z")], [false, true]);
    assert.deepEqual([isOpen("2026-07-01T19:59Z"), isOpen("2026-07-01T20:00Z")], [true, false]);
    assert.deepEqual([isOpen("2026-12-01T14:29Z"), isOpen("2026-12-01T14:30Z")], [false, true]);
    assert.deepEqual([isOpen("2026-12-01T20:59Z"), isOpen("2026-12-01T21:00Z")], [true, false]);
    // Monday after the change of 8 March 2026, Friday before it, and the same around 1 November.
    assert.deepEqual([isOpen("2026-03-06T13:30Z"), isOpen("2026-03-09T13:30Z")], [false, true]);
    assert.deepEqual([isOpen("2026-10-30T13:30Z"), isOpen("2026-11-02T13:30Z")], [true, false]);
  });

  it("is closed on weekends and holidays and at 13:00 on half days", () => {
    assert.equal(isOpen("2026-10-03T15:00Z"), false);
    assert.equal(isOpen("2026-07-03T15:00Z"), false);
    assert.equal(isOpen("2025-12-25T15:00Z"), false);
    assert.deepEqual([isOpen("2026-11-27T17:59Z"), isOpen("2026-11-27T18:00Z")], [true, false]);
  });

  it("measures spans that straddle the session, and adds up", () => {
    assert.equal(usSessionShare(at("2026-10-01T00:00Z"), at("2026-10-02T00:00Z")), 6.5 / 24);
    assert.equal(usSessionShare(at("2026-10-01T13:25Z"), at("2026-10-01T13:35Z")), 0.5);
    assert.equal(usSessionShare(at("2026-09-28T00:00Z"), at("2026-10-05T00:00Z")), (5 * 6.5) / (7 * 24));
    fc.assert(
      fc.property(
        fc.integer({ min: at("2026-01-01T00:00Z"), max: at("2026-12-01T00:00Z") }),
        fc.integer({ min: 1, max: 400_000 }),
        fc.integer({ min: 1, max: 400_000 }),
        (from, a, b) => {
          const whole = usSessionShare(from, from + a + b) * (a + b);
          const parts = usSessionShare(from, from + a) * a + usSessionShare(from + a, from + a + b) * b;
          assert.ok(Math.abs(whole - parts) < 1e-6);
        },
      ),
      { seed: 2 },
    );
  });
});
