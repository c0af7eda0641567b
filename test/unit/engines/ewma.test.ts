import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createEwmaEngine, type EwmaInput } from "../../../src/engines/ewma/ewma.ts";
import type { EwmaChoices } from "../../../src/engines/ewma/plain.ts";
import { sessionMeanSquare } from "../../../src/engines/ewma/session-level.ts";
import type { Prepared, StateSnapshot } from "../../../src/engines/engine.ts";
import { engineDeps } from "../../support/ewma-calibration.ts";
import { unixSeconds } from "../../../src/units.ts";
import { forecastRequest, freshSnapshot, marketSnapshot, volatilityState } from "../../support/forecast-inputs.ts";

function engine(choices: Partial<EwmaChoices> = {}): ReturnType<typeof createEwmaEngine> {
  return createEwmaEngine(engineDeps({ rankMatching: true }, choices));
}

function accepted(prepared: Prepared<EwmaInput>): EwmaInput {
  assert.ok(prepared.ok, prepared.ok ? "" : prepared.handOver.message);
  return prepared.input;
}

function assertNear(actual: number, expected: number, relative: number): void {
  assert.ok(Math.abs(actual / expected - 1) <= relative, `expected ${expected} ± ${100 * relative} %, was ${actual}`);
}

describe("plain EWMA: prepare", () => {
  it("scales the 5-minute moment to the step, and takes the 1-minute moment below 300 s", () => {
    const snapshot = marketSnapshot(freshSnapshot(volatilityState({ sigma2Minute: 3e-7, sigma2FiveMinute: 1e-6 })));
    const scale2 = 0.85 ** 2;
    for (const [stepSeconds, sigma2] of [
      [300, 1e-6],
      [600, 2e-6],
      [3600, 12e-6],
      [60, 3e-7],
      [120, 6e-7],
      [1, 3e-7 / 60],
    ] as const) {
      const input = accepted(engine().prepare(forecastRequest({ stepSeconds }), snapshot));
      assert.equal(input.model.stepSigmas.length, 86_400 / stepSeconds);
      for (const sigma of input.model.stepSigmas) assertNear(sigma ** 2, sigma2 * scale2, 1e-12);
    }
  });

  it("names itself as what stands in for a calibration, and starts at the anchor", () => {
    const { model, fallbacks } = accepted(
      engine().prepare(forecastRequest(), marketSnapshot(freshSnapshot(volatilityState()), "BTC", 98_765.5)),
    );
    assert.deepEqual(
      fallbacks.map(({ code }) => code),
      ["calibration/missing"],
    );
    assert.deepEqual(
      [model.anchorPrice, model.nu, model.rankMatched, model.zeroShare, model.varianceRatios],
      [98_765.5, 6, true, 0, []],
    );
  });

  it("hands over with one code per reason", () => {
    const state = volatilityState();
    const cases: [StateSnapshot, string][] = [
      [{ status: "missing" }, "state/missing"],
      [{ status: "corrupt", reason: "checksum" }, "state/corrupt"],
      [{ status: "stale", state, ageSeconds: 5000, identity: "x" }, "state/stale"],
      [freshSnapshot(volatilityState({ minutes: 119 })), "state/too_short"],
      [freshSnapshot({ ...state, sigma2FiveMinute: { value: 0, mass: 0 } }), "state/too_short"],
      [freshSnapshot(volatilityState({ sigma2FiveMinute: 0 })), "state/degenerate"],
      [freshSnapshot(volatilityState({ sigma2FiveMinute: NaN })), "state/degenerate"],
    ];
    for (const [snapshot, code] of cases) {
      const prepared = engine().prepare(forecastRequest(), marketSnapshot(snapshot));
      assert.equal(prepared.ok ? "accepted" : prepared.handOver.code, code);
    }
    assert.ok(engine().prepare(forecastRequest(), marketSnapshot(freshSnapshot(volatilityState({ minutes: 120 })))).ok);
  });

  it("bounds sigma at 20 times the reference and says so; far below it hands over, as for a frozen feed", () => {
    const reference2 = 0.00541 ** 2 / 12;
    const high = freshSnapshot(volatilityState({ sigma2FiveMinute: 1 }));
    const low = freshSnapshot(volatilityState({ sigma2FiveMinute: 1e-14 }));
    const bounded = (snapshot: StateSnapshot): EwmaInput =>
      accepted(engine().prepare(forecastRequest(), marketSnapshot(snapshot)));
    const { model, fallbacks } = bounded(high);
    assert.deepEqual(
      fallbacks.map(({ code }) => code),
      ["calibration/missing", "sigma/clamped_high"],
    );
    for (const sigma of model.stepSigmas) assertNear(sigma ** 2, 400 * reference2, 1e-9);
    const frozen = engine().prepare(forecastRequest(), marketSnapshot(low));
    assert.equal(frozen.ok ? "accepted" : frozen.handOver.code, "state/degenerate");
  });
});

describe("plain EWMA: US session", () => {
  const half = { halfLifeSeconds: 3600, offHoursMultiplier: 0.6 };

  it("reads a state fed by night, by day or by both at the same session level", () => {
    const night = volatilityState({ newest: unixSeconds(Date.parse("2026-10-03T12:00Z") / 1000), minutes: 600 });
    const day = volatilityState({ newest: unixSeconds(Date.parse("2026-10-01T19:59Z") / 1000), minutes: 390 });
    assertNear(sessionMeanSquare(night, half), 0.36, 1e-12);
    assertNear(sessionMeanSquare(day, half), 1, 1e-12);
    // One half-life into the session: half the weight by day, half by night (the window is long).
    const both = volatilityState({ newest: unixSeconds(Date.parse("2026-10-01T14:29Z") / 1000), minutes: 2000 });
    assertNear(sessionMeanSquare(both, half), 0.5 + 0.5 * 0.36, 2e-3);
    assert.equal(sessionMeanSquare(both, { ...half, offHoursMultiplier: 1 }), 1);
  });

  it("weighs a gap by the minutes it spans, and ignores candles from before the warm-up", () => {
    const session = volatilityState({ newest: unixSeconds(Date.parse("2026-10-01T14:29Z") / 1000), minutes: 60 });
    // The same hour after a candle of the evening before: the night is one return that spans it.
    const { openTime } = session.candles;
    openTime[0] = Date.parse("2026-09-30T20:00Z") / 1000;
    const gapped = { ...session, warmFrom: unixSeconds(openTime[0]) };
    // 58 minutes of session, and before them a return over 1051 minutes of which two were session.
    const kept = 2 ** -(58 / 60);
    const share = 2 / 1051;
    assertNear(sessionMeanSquare(gapped, half), 1 - kept + kept * (share + (1 - share) * 0.36), 1e-4);
    assert.equal(sessionMeanSquare({ ...gapped, warmFrom: unixSeconds(openTime[1]!) }, half), 1);
  });

  it("leaves an average day's variance where it was when the state has seen the whole week", () => {
    const newest = unixSeconds(Date.parse("2026-10-02T03:59Z") / 1000);
    const state = volatilityState({ asset: "NVDAX", minutes: 10_080, newest, halfLifeFiveMinuteSeconds: 1e9 });
    const request = forecastRequest({
      asset: "NVDAX",
      startTime: unixSeconds(newest + 60),
      horizonSeconds: 7 * 86_400,
    });
    const prepared = engine({ offHoursMultiplier: 0.6, sigmaScale: 1 }).prepare(
      request,
      marketSnapshot(freshSnapshot(state), "NVDAX"),
    );
    const input = accepted(prepared);
    const variance = input.model.stepSigmas.reduce((sum, sigma) => sum + sigma ** 2 / 2016, 0);
    assertNear(variance, 1e-6, 1e-3);
  });

  it("gives steps outside the session the multiplier, and straddling steps what lies in between", () => {
    const request = forecastRequest({
      startTime: unixSeconds(Date.parse("2026-10-01T13:15Z") / 1000),
      horizonSeconds: 3 * 600,
      stepSeconds: 600,
    });
    // Fed in the session alone: its level is the session's.
    const newest = unixSeconds(Date.parse("2026-09-30T19:59Z") / 1000);
    const state = volatilityState({ newest, minutes: 390, sigma2FiveMinute: 5e-7 });
    const prepared = engine({ offHoursMultiplier: 0.6, sigmaScale: 1 }).prepare(
      request,
      marketSnapshot(freshSnapshot(state)),
    );
    const { stepSigmas } = accepted(prepared).model;
    [0.36e-6, (0.5 + 0.5 * 0.36) * 1e-6, 1e-6].forEach((variance, i) => {
      assertNear(stepSigmas[i]! ** 2, variance, 1e-12);
    });
  });
});
