import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createEwmaEngine, type EwmaChoices, type EwmaInput } from "../../../src/engines/ewma/ewma.ts";
import { simulateEwma } from "../../../src/engines/ewma/paths.ts";
import { sessionMeanSquare } from "../../../src/engines/ewma/session-level.ts";
import type { ForecastRequest, Prepared, StateSnapshot } from "../../../src/engines/engine.ts";
import { ASSET_SYMBOLS, type AssetSymbol } from "../../../src/market/assets.ts";
import { usSessionShare } from "../../../src/market/session.ts";
import { unixSeconds } from "../../../src/units.ts";
import {
  ewmaInput,
  forecastRequest,
  freshSnapshot,
  marketSnapshot,
  volatilityState,
} from "../../support/forecast-inputs.ts";

const CHOICES: EwmaChoices = { nu: 6, sigmaScale: 0.85, pathFeedback: 0.02, offHoursMultiplier: 1 };

function engine(choices: Partial<EwmaChoices> = {}): ReturnType<typeof createEwmaEngine> {
  const entries = ASSET_SYMBOLS.map((symbol) => [symbol, { ...CHOICES, ...choices }]);
  return createEwmaEngine(Object.fromEntries(entries) as Record<AssetSymbol, EwmaChoices>);
}

function accepted(prepared: Prepared<EwmaInput>): EwmaInput {
  assert.ok(prepared.ok, prepared.ok ? "" : prepared.handOver.message);
  return prepared.input;
}

function assertNear(actual: number, expected: number, relative: number): void {
  assert.ok(Math.abs(actual / expected - 1) <= relative, `expected ${expected} ± ${100 * relative} %, was ${actual}`);
}

/** Standard deviation over paths of the log price at a point. */
function sdAt(paths: Float64Array, request: ForecastRequest, point: number): number {
  const points = request.horizonSeconds / request.stepSeconds + 1;
  let square = 0;
  for (let path = 0; path < request.numSimulations; path++) {
    square += Math.log(paths[path * points + point]! / paths[path * points]!) ** 2 / request.numSimulations;
  }
  return Math.sqrt(square);
}

describe("EWMA engine: prepare", () => {
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
      assertNear(input.sigma2PerStep, sigma2 * scale2, 1e-12);
      assert.equal(input.clamped, null);
    }
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
    assert.equal(bounded(high).clamped, "high");
    assertNear(bounded(high).sigma2PerStep, 400 * reference2, 1e-9);
    const frozen = engine().prepare(forecastRequest(), marketSnapshot(low));
    assert.equal(frozen.ok ? "accepted" : frozen.handOver.code, "state/degenerate");
  });
});

describe("EWMA engine: US session", () => {
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
    const request = forecastRequest({ asset: "NVDAX" });
    const prepared = engine({ offHoursMultiplier: 0.6, sigmaScale: 1 }).prepare(
      request,
      marketSnapshot(freshSnapshot(state), "NVDAX"),
    );
    const input = accepted(prepared);
    let variance = 0;
    for (let step = 0; step < 2016; step++) {
      const from = newest + 60 + step * 300;
      variance += (input.sigma2PerStep * (0.36 + 0.64 * usSessionShare(from, from + 300))) / 2016;
    }
    assertNear(variance, 1e-6, 1e-3);
  });

  it("simulates steps outside the session at the multiplier, and straddling steps in between", () => {
    const request = forecastRequest({
      startTime: unixSeconds(Date.parse("2026-10-01T13:15Z") / 1000),
      horizonSeconds: 3 * 600,
      stepSeconds: 600,
      numSimulations: 60_000,
    });
    const input = ewmaInput({ offHoursMultiplier: 0.6, pathFeedback: 0, nu: 50 });
    const paths = simulateEwma(request, input);
    const variances = [1, 2, 3].map((point) => sdAt(paths, request, point) ** 2);
    // Five standard errors of a variance over 60,000 paths: 3 %.
    assertNear(variances[0]!, 0.36e-6, 0.03);
    assertNear(variances[1]! - variances[0]!, (0.5 + 0.5 * 0.36) * 1e-6, 0.05);
    assertNear(variances[2]! - variances[1]!, 1e-6, 0.06);
  });
});

describe("EWMA engine: paths", () => {
  it("is a function of request and input alone; the seed decides", () => {
    const request = forecastRequest({ numSimulations: 20 });
    assert.deepEqual(simulateEwma(request, ewmaInput()), simulateEwma(request, ewmaInput()));
    assert.notDeepEqual(simulateEwma(request, ewmaInput()), simulateEwma({ ...request, seed: "other" }, ewmaInput()));
  });

  it("starts every path at the anchor and has as many points as the grid", () => {
    const request = forecastRequest({ horizonSeconds: 3600, stepSeconds: 60, numSimulations: 7 });
    const paths = simulateEwma(request, ewmaInput({ anchorPrice: 123.5 }));
    assert.equal(paths.length, 7 * 61);
    for (let path = 0; path < 7; path++) assert.equal(paths[path * 61], 123.5);
    assert.ok(paths.every((price) => Number.isFinite(price) && price > 0));
  });

  it("has one step's sigma as asked, whatever nu", () => {
    const request = forecastRequest({ horizonSeconds: 300, numSimulations: 200_000 });
    for (const nu of [4.5, 6, 30]) {
      // Standard error of the sd at 200,000 draws and nu 4.5 (kurtosis 15): 0.4 %.
      assertNear(sdAt(simulateEwma(request, ewmaInput({ nu })), request, 1), 1e-3, 0.02);
    }
  });

  it("keeps the 24 h sd with and without feedback within 4 % of sigma · sqrt(288)", () => {
    const request = forecastRequest({ numSimulations: 5000 });
    for (const nu of [2.5, 5, 12]) {
      for (const pathFeedback of nu > 3 ? [0, 0.02, 0.1] : [0.02]) {
        const paths = simulateEwma(request, ewmaInput({ nu, pathFeedback }));
        // Standard error at 5,000 paths: 1 %, more under feedback; at nu 2.5 single shocks make much of the variance.
        assertNear(sdAt(paths, request, 288), 1e-3 * Math.sqrt(288), nu > 3 ? 0.04 : 0.15);
      }
    }
  });

  it("clusters volatility: with feedback the realised variance differs more between paths", () => {
    const request = forecastRequest({ numSimulations: 2000 });
    const spread = (pathFeedback: number): number => {
      const paths = simulateEwma(request, ewmaInput({ pathFeedback, nu: 30 }));
      const realised = Array.from({ length: 2000 }, (_, path) => {
        let sum = 0;
        for (let i = path * 289; i < path * 289 + 288; i++) sum += Math.log(paths[i + 1]! / paths[i]!) ** 2;
        return sum / 288e-6;
      });
      return Math.sqrt(realised.reduce((sum, value) => sum + (value - 1) ** 2, 0) / 2000);
    };
    assert.ok(spread(0.1) > 1.5 * spread(0));
  });

  it("stays finite and positive at the extremes of the configuration", () => {
    const request = forecastRequest({ numSimulations: 200 });
    const paths = simulateEwma(request, ewmaInput({ nu: 2.06, pathFeedback: 0.5, sigma2PerStep: 1e-4 }));
    assert.ok(paths.every((price) => Number.isFinite(price) && price > 0));
  });
});
