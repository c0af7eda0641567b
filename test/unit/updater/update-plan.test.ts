import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { planUpdate } from "../../../src/commands/update.ts";
import { UsageError } from "../../../src/errors.ts";
import { nextCycleMs } from "../../../src/updater/updater.ts";

const NOW_MS = Date.parse("2025-08-01T12:00:00Z");

function problemsOf(asked: Parameters<typeof planUpdate>[0]): readonly string[] {
  try {
    planUpdate(asked, NOW_MS);
  } catch (error) {
    assert.ok(error instanceof UsageError);
    return error.problems;
  }
  return [];
}

describe("planUpdate", () => {
  it("takes dates up to today and refuses the rest", () => {
    assert.equal(planUpdate({ oneShot: true, warmupDate: "2025-08-01" }, NOW_MS).asOf, 1_754_006_400);
    for (const warmupDate of [
      "2025-08-02",
      "2025-02-30",
      "2025-13-01",
      "yesterday",
      "",
      "2025-8-1",
      "2025-08-01T00:00:00Z",
      "1969-12-31",
    ]) {
      assert.equal(problemsOf({ oneShot: true, warmupDate }).length, 1, warmupDate);
    }
  });

  it("names every problem at once", () => {
    assert.equal(problemsOf({ oneShot: false, warmupDate: "nonsense", assets: "BTC,DOGE,,XAU" }).length, 4);
  });

  it("takes assets once each, all when none are named", () => {
    assert.deepEqual(planUpdate({ oneShot: false, assets: "XAU, BTC,XAU" }, NOW_MS).assets, ["XAU", "BTC"]);
    assert.equal(planUpdate({ oneShot: false }, NOW_MS).assets.length, 14);
  });
});

describe("nextCycleMs", () => {
  it("is the next multiple of the interval plus the delay, strictly later", () => {
    const timing = { intervalSeconds: 60, publishDelaySeconds: 2 };
    assert.equal(nextCycleMs(NOW_MS, timing), NOW_MS + 2000);
    assert.equal(nextCycleMs(NOW_MS + 2000, timing), NOW_MS + 62_000);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4e12 }), fc.integer({ min: 1, max: 3600 }), (nowMs, intervalSeconds) => {
        const next = nextCycleMs(nowMs, { intervalSeconds, publishDelaySeconds: 2 });
        assert.ok(next > nowMs && next <= nowMs + intervalSeconds * 1000);
      }),
      { seed: 4 },
    );
  });
});
