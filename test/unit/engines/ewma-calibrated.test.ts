import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { pack, unpack } from "msgpackr";
import type { ForecastRequest } from "../../../src/engines/engine.ts";
import type { EwmaCalibration } from "../../../src/engines/ewma/calibration.ts";
import { createEwmaEngine, type EwmaInput, EWMA_VERSION } from "../../../src/engines/ewma/ewma.ts";
import { profileOf, ratiosFor } from "../../../src/engines/ewma/scale.ts";
import { runForecast } from "../../../src/engines/forecast.ts";
import { ASSETS, type AssetSymbol } from "../../../src/market/assets.ts";
import { simulationEvidence } from "../../../src/subnets/synth/evidence.ts";
import { unixSeconds } from "../../../src/units.ts";
import { weekBin } from "../../../src/volatility/seasonality.ts";
import type { VolatilityState } from "../../../src/volatility/state.ts";
import { priorOf } from "../../../src/engines/ewma/calibration.ts";
import { engineDeps, handMadeCalibration, horizonOf, profileData, scaleOf } from "../../support/ewma-calibration.ts";
import { forecastRequest, freshSnapshot, marketSnapshot, volatilityState } from "../../support/forecast-inputs.ts";

const SWING = 7e-4;
const DAY = 86_400;

function prepared(
  request: ForecastRequest,
  state: VolatilityState,
  options: { readonly calibration?: EwmaCalibration | null; readonly offHoursMultiplier?: number } = {},
): EwmaInput {
  const { calibration = handMadeCalibration(), offHoursMultiplier = 1 } = options;
  const engine = createEwmaEngine(engineDeps({ calibration, rankMatching: true }, { offHoursMultiplier }));
  const found = engine.prepare(request, marketSnapshot(freshSnapshot(state), request.asset));
  assert.ok(found.ok, found.ok ? "" : found.handOver.message);
  return found.input;
}

function codes({ fallbacks }: EwmaInput): string[] {
  return fallbacks.map(({ code }) => code);
}

function assertNear(actual: number, expected: number, relative = 1e-12): void {
  assert.ok(Math.abs(actual / expected - 1) <= relative, `expected ${expected} ± ${relative}, was ${actual}`);
}

function variance(stepSigmas: readonly number[]): number {
  return stepSigmas.reduce((sum, sigma) => sum + sigma ** 2, 0);
}

/** A state whose returns over a minute and over five are ± the first size, and ± the second for the last minutes. */
function twoRegimes(sizes: readonly [number, number], minutes: readonly [number, number]): VolatilityState {
  const state = volatilityState({ minutes: minutes[0] + minutes[1] });
  let log = 0;
  const close = state.candles.openTime.map((_, i) => {
    log += (i % 2 === 0 ? 1 : -1) * sizes[i < minutes[0] ? 0 : 1];
    return 100_000 * Math.exp(log);
  });
  return { ...state, candles: { ...state.candles, close } };
}

describe("calibrated EWMA: the scale in closed form", () => {
  const reference300 = ASSETS.BTC.referenceSigmaPerHour / Math.sqrt(12);

  it("is reference · exp(basis · (intercept + beta · x)), between the knots and beyond them", () => {
    const knotSeconds = [1800, 7200, 43_200];
    const scale = scaleOf({
      intercepts: [0.3, -0.2, 0.1],
      betas: [
        [0.7, 0.2, 0.1],
        [0.2, 0.5, 0.4],
      ],
    });
    // 5-minute bars: 300 of one size, then 24 of three times that; START_TIME is 3 minutes after a bar's close.
    const state = twoRegimes([SWING, 3 * SWING], [1500, 120]);
    const calibration = handMadeCalibration({ knotSeconds, assets: { BTC: scale } });
    const input = prepared(forecastRequest(), state, { calibration });
    assert.deepEqual(input.fallbacks, []);
    const closes = state.candles.openTime.filter((time) => (time + 60) % 300 === 0);
    const changed = state.candles.openTime[1500]!;
    const late = closes.filter((time) => time >= changed + 300).length;
    const crossing = closes.findIndex((time) => time >= changed);
    const [n1, n2] = [closes.length - 1 - late - 1, late];
    // The bar in which the size changes.
    const at = state.candles.openTime.indexOf(closes[crossing]!);
    const middle = Math.abs(Math.log(state.candles.close[at]! / state.candles.close[at - 5]!));
    const x = [1800, 86_400].map((halfLife) => {
      const d = 2 ** (-300 / halfLife);
      const sum =
        (3 * SWING * (1 - d ** n2)) / (1 - d) + middle * d ** n2 + (SWING * d ** (n2 + 1) * (1 - d ** n1)) / (1 - d);
      return Math.log(sum / ((1 - d ** (n1 + n2 + 1)) / (1 - d)) / reference300);
    });
    const atKnot = knotSeconds.map(
      (_, j) => scale.intercepts[j]! + scale.betas[0]![j]! * x[0]! + scale.betas[1]![j]! * x[1]!,
    );
    const { stepSigmas } = input.model;
    assert.equal(stepSigmas.length, 288);
    stepSigmas.forEach((sigma, i) => {
      const lead = Math.min(Math.max(300 * i, 1800), 43_200);
      const j = lead <= 7200 ? 0 : 1;
      const share = (lead - knotSeconds[j]!) / (knotSeconds[j + 1]! - knotSeconds[j]!);
      assertNear(sigma, reference300 * Math.exp((1 - share) * atKnot[j]! + share * atKnot[j + 1]!));
    });
  });

  it("is the level itself for constant |returns| and betas that sum to one, at both horizons", () => {
    const state = volatilityState({ minutes: 3000, swing: SWING });
    const day = prepared(forecastRequest(), state);
    for (const sigma of day.model.stepSigmas) assertNear(sigma, SWING);
    const hour = prepared(forecastRequest({ horizonSeconds: 3600, stepSeconds: 60 }), state);
    for (const sigma of hour.model.stepSigmas) assertNear(sigma, SWING);
    assert.deepEqual([day.fallbacks, hour.fallbacks], [[], []]);
    const { nu, latent, rankMatched, anchorPrice, zeroShare } = day.model;
    assert.deepEqual(
      { nu, latent, rankMatched, anchorPrice, zeroShare },
      { nu: 5, latent: { tau: 0.35, halfLifeSeconds: 10_800 }, rankMatched: true, anchorPrice: 100_000, zeroShare: 0 },
    );
  });

  it("follows the weekly rhythm, and does without where it was fitted without", () => {
    const rhythm = profileData((bin) => 1 + 0.6 * Math.sin((2 * Math.PI * bin) / 288));
    const profiles = { assets: { BTC: rhythm }, classes: {} };
    const state = volatilityState({ minutes: 10_080, swing: SWING });
    const request = forecastRequest();
    const { stepSigmas } = prepared(request, state, { calibration: handMadeCalibration({}, { profiles }) }).model;
    const { week } = profileOf(state, priorOf(rhythm), 1);
    const levels = stepSigmas.map((sigma, i) => sigma / week[weekBin(request.startTime + 300 * i)]!);
    for (const level of levels) assertNear(level, levels[0]!);
    assert.ok(Math.max(...stepSigmas) > 3 * Math.min(...stepSigmas));
    const plain = handMadeCalibration({ seasonal: false }, { profiles });
    for (const sigma of prepared(request, state, { calibration: plain }).model.stepSigmas) assertNear(sigma, SWING);
  });

  it("keeps the variance ratios that nest on the request's grid", () => {
    const ratios = [300, 900, 1000, 1800, 3600].map((seconds) => ({ seconds, ratio: 0.9 }));
    const kept = (step: number): number[] =>
      ratiosFor(ratios, { stepSeconds: step, baseSeconds: 60 }).beyond.map(({ seconds }) => seconds);
    assert.deepEqual(kept(60), [300, 900, 1800, 3600]);
    assert.deepEqual(kept(300), [900, 1800, 3600]);
    assert.deepEqual(kept(200), [1000]);
    assert.deepEqual(kept(3600), []);
    // The hour as one step has the variance of the hour in any steps.
    for (const stepSeconds of [60, 300, 1800, 3600]) {
      const { ofStep, beyond } = ratiosFor(
        [
          { seconds: 300, ratio: 0.9 },
          { seconds: 3600, ratio: 0.8 },
        ],
        { stepSeconds, baseSeconds: 60 },
      );
      assertNear(ofStep * (beyond.at(-1)?.ratio ?? 1), 0.8);
    }
  });

  it("passes on the share of unchanged closes unless it was fitted without, and none that is mere rounding", () => {
    const share = (unchanged: number, zeroAtom = true, stepSeconds = 300): number => {
      const state = volatilityState({ minutes: 3000, swing: 5 * SWING });
      // Bars end with the minutes whose close is a multiple of five minutes.
      const ends = [...state.candles.openTime.keys()].filter((i) => (state.candles.openTime[i]! + 60) % 300 === 0);
      // Spread evenly: an hour without a change is a feed that stands still.
      let isUp = false;
      ends.slice(-289).forEach((end, i) => {
        const isUnchanged = Math.floor((i * unchanged) / 288) > Math.floor(((i - 1) * unchanged) / 288);
        if (i === 0 || !isUnchanged) isUp = !isUp;
        state.candles.close[end] = isUp ? 101_000 : 100_000;
      });
      const calibration = handMadeCalibration({ zeroAtom });
      return prepared(forecastRequest({ stepSeconds }), state, { calibration }).model.zeroShare;
    };
    assert.equal(share(72), 72 / 288);
    assert.equal(share(8), 0);
    assert.equal(share(9), 9 / 288);
    assert.equal(share(264), 0.9);
    assert.equal(share(72, false), 0);
    // An hour is unchanged where all of its twelve bars are.
    assertNear(share(72, true, 3600), (72 / 288) ** 12);
    assert.equal(share(8, true, 3600), 0);
  });
});

describe("calibrated EWMA: grids", () => {
  const rhythm = { assets: { BTC: profileData((bin) => (bin % 5 === 0 ? 2 : 1)) }, classes: {} };
  const state = volatilityState({ minutes: 10_080, swing: SWING });
  const sumOf = (stepSeconds: number, horizonSeconds: number, calibration: EwmaCalibration): number =>
    variance(prepared(forecastRequest({ stepSeconds, horizonSeconds }), state, { calibration }).model.stepSigmas);

  it("of steps of 60, 300, 600 and 3600 s have the same variance of the sum, rhythm included", () => {
    for (const horizonSeconds of [3600, DAY]) {
      const scales = { assets: { BTC: scaleOf({ varianceRatios: [] }) } };
      const horizons = { "1h": horizonOf(60, scales), "24h": horizonOf(300, scales) };
      const calibration = handMadeCalibration({}, { horizons, profiles: rhythm });
      const expected = sumOf(60, horizonSeconds, calibration);
      for (const step of [20, 300, 600, 3600]) assertNear(sumOf(step, horizonSeconds, calibration), expected);
    }
  });

  it("… and within 1 % where the scale changes with the lead", () => {
    const scale = scaleOf({ intercepts: [0.4, -0.4], varianceRatios: [] });
    const [day, hour] = [horizonOf(300, { assets: { BTC: scale } }), horizonOf(60, { assets: { BTC: scale } })];
    const horizons = { "1h": { ...hour, knotSeconds: [0, 3600] }, "24h": day };
    const calibration = handMadeCalibration({}, { horizons, profiles: rhythm });
    for (const [horizonSeconds, base] of [
      [3600, 60],
      [DAY, 300],
    ] as const) {
      const expected = sumOf(base, horizonSeconds, calibration);
      for (const step of [60, 300, 600, 3600]) assertNear(sumOf(step, horizonSeconds, calibration), expected, 0.01);
    }
  });

  it("have as many positive sigmas as steps, for any grid and start", () => {
    const grids = fc.record({
      stepSeconds: fc.constantFrom(1, 7, 60, 90, 300, 450, 3600, 43_200),
      steps: fc.integer({ min: 1, max: 50 }),
      ahead: fc.integer({ min: 0, max: 30 * DAY }),
    });
    fc.assert(
      fc.property(grids, ({ stepSeconds, steps, ahead }) => {
        const startTime = unixSeconds(forecastRequest().startTime + ahead);
        const request = forecastRequest({ stepSeconds, horizonSeconds: steps * stepSeconds, startTime });
        const { stepSigmas } = prepared(request, state).model;
        assert.equal(stepSigmas.length, steps);
        const base = request.horizonSeconds < 17_636 ? 60 : 300;
        // The hand-made ratio falls from 1 at the base bar to .9 at an hour, linearly in the logarithm.
        const part = Math.log(Math.max(stepSeconds, base) / base) / Math.log(3600 / base);
        const ratio = 1 - 0.1 * Math.min(part, 1);
        for (const sigma of stepSigmas) assertNear(sigma, SWING * Math.sqrt((stepSeconds / base) * ratio));
      }),
      { numRuns: 50 },
    );
  });
});

describe("calibrated EWMA: fallbacks are named", () => {
  const request = forecastRequest();
  const plainOf = (state: VolatilityState): readonly number[] =>
    prepared(request, state, { calibration: null }).model.stepSigmas;

  it("a new asset takes its class's values and says so", () => {
    const state = volatilityState({ asset: "ETH", minutes: 3000, swing: SWING });
    const input = prepared({ ...request, asset: "ETH" }, state);
    assert.deepEqual(codes(input), ["calibration/class", "profile/class"]);
    assert.match(input.fallbacks[0]!.message, /crypto/);
    for (const sigma of input.model.stepSigmas) assertNear(sigma, SWING);
  });

  it("an asset and a horizon without values take the plain EWMA", () => {
    const gold = volatilityState({ asset: "XAU", minutes: 3000, swing: SWING });
    const input = prepared({ ...request, asset: "XAU" }, gold);
    assert.deepEqual(codes(input), ["calibration/missing"]);
    assert.match(input.fallbacks[0]!.message, /XAU at 24h/);
    const state = volatilityState({ minutes: 3000, swing: SWING });
    const hourOnly = handMadeCalibration({}, { horizons: { "1h": horizonOf(60), "24h": null } });
    const day = prepared(request, state, { calibration: hourOnly });
    assert.deepEqual(codes(day), ["calibration/missing"]);
    assert.deepEqual(day.model.stepSigmas, plainOf(state));
    assert.deepEqual(codes(prepared({ ...request, horizonSeconds: 3600 }, state, { calibration: hourOnly })), []);
  });

  it("a state of 288 candles is too short for a day, not for an hour", () => {
    const short = volatilityState({ minutes: 288, swing: SWING });
    const input = prepared(request, short);
    assert.deepEqual(codes(input), ["calibration/too_short"]);
    assert.match(input.fallbacks[0]!.message, /expected 120 returns over 300 s, were 56 that move/);
    assert.deepEqual(input.model.stepSigmas, plainOf(short));
    assert.deepEqual(codes(prepared({ ...request, horizonSeconds: 3600, stepSeconds: 60 }, short)), ["level/short"]);
    // 121 closes on the five minutes; the newest candle closes three minutes after one.
    assert.deepEqual(codes(prepared(request, volatilityState({ minutes: 604, swing: SWING }))), ["level/short"]);
    assert.deepEqual(codes(prepared(request, volatilityState({ minutes: 603, swing: SWING }))), [
      "calibration/too_short",
    ]);
  });

  it("a frozen feed is no calm market", () => {
    const frozen = volatilityState({ minutes: 3000 });
    assert.deepEqual(codes(prepared(request, frozen)), ["feed/frozen"]);
    const stopped = volatilityState({ minutes: 3000, swing: SWING });
    stopped.candles.close.fill(stopped.candles.close.at(-80)!, -80);
    const moving = prepared(request, volatilityState({ minutes: 3000, swing: SWING }));
    assert.deepEqual(codes(prepared(request, stopped)), ["feed/frozen"]);
    assertNear(prepared(request, stopped).model.stepSigmas[0]!, moving.model.stepSigmas[0]!);
  });

  it("an absurd sigma is cut, after what stood in before", () => {
    const state = volatilityState({ asset: "ETH", minutes: 3000, swing: 0.1 });
    const input = prepared({ ...request, asset: "ETH" }, state);
    assert.deepEqual(codes(input), ["calibration/class", "profile/class", "sigma/clamped_high"]);
    assertNear(Math.sqrt(variance(input.model.stepSigmas) / 24), 20 * ASSETS.ETH.referenceSigmaPerHour);
  });

  it("and come back from a recording with the input, to the same bytes", async () => {
    const own = { ...request, asset: "ETH" as const, numSimulations: 20 };
    const input = prepared(own, volatilityState({ asset: "ETH", minutes: 3000, swing: SWING }));
    const task = { request: own, inputs: [input] };
    const result = await runForecast(task);
    const evidence = {
      task,
      engine: result.engine,
      engineVersion: result.engineVersion,
      handOvers: [],
      anchor: { price: 100_000, source: "binance", ageSeconds: 0.2 },
      anchorFailure: null,
      state: { status: "ok", identity: "abc", ageSeconds: 30 },
      pathChecksums: Array.from(result.pathChecksums),
      simulateMs: 1,
      encodeMs: 1,
      digest: result.digest,
    };
    for (const stored of [unpack(pack(evidence)) as unknown, JSON.parse(JSON.stringify(evidence)) as unknown]) {
      const parsed = simulationEvidence.parse(stored);
      assert.deepStrictEqual(parsed.task.inputs, [input]);
      assert.equal((await runForecast(parsed.task)).digest, result.digest);
    }
    assert.equal(result.engineVersion, EWMA_VERSION);
  });
});

describe("calibrated EWMA: holidays of the exchanges", () => {
  const at = (iso: string): number => Date.parse(iso) / 1000;
  /** Sigma of the five minutes that open at `iso`, one hour after the request. */
  const sigmaAt = (asset: AssetSymbol, iso: string, offHoursMultiplier: number, rhythm = profileData()): number => {
    const startTime = unixSeconds(at(iso) - 3600);
    const newest = unixSeconds(at("2026-11-24T20:59Z"));
    const state = volatilityState({ asset, minutes: 3000, swing: SWING, newest });
    const profiles = { assets: { BTC: rhythm }, classes: { equity: profileData() } };
    const calibration = handMadeCalibration({}, { profiles });
    const request = forecastRequest({ asset, startTime });
    return prepared(request, state, { calibration, offHoursMultiplier }).model.stepSigmas[12]!;
  };

  it("make the session off hours for stocks, also after an early close", () => {
    const [before, thanksgiving] = ["2026-11-25T15:30Z", "2026-11-26T15:30Z"];
    assertNear(sigmaAt("NVDAX", thanksgiving, 0.5) / sigmaAt("NVDAX", before, 0.5), 0.5, 0.01);
    const [open, closedEarly] = ["2026-11-27T17:00Z", "2026-11-27T19:00Z"];
    assertNear(sigmaAt("NVDAX", closedEarly, 0.5) / sigmaAt("NVDAX", open, 0.5), 0.5, 0.01);
    const [night, holidayNight] = ["2026-11-25T08:00Z", "2026-11-26T08:00Z"];
    assertNear(sigmaAt("NVDAX", holidayNight, 0.5) / sigmaAt("NVDAX", night, 0.5), 1, 0.01);
  });

  it("leave the bar across the closing bell as it is on other days, for prompts that start between two bars", () => {
    const across = sigmaAt("NVDAX", "2026-11-25T20:58Z", 0.5) / sigmaAt("NVDAX", "2026-11-25T20:55Z", 0.5);
    assertNear(across, 1, 0.01);
  });

  it("are days like any other for markets without sessions", () => {
    const loud = profileData((bin) => (bin % 288 > 100 && bin % 288 < 200 ? 3 : 1));
    const [thanksgiving, thursday] = ["2026-11-26T15:30Z", "2026-12-03T15:30Z"];
    assertNear(sigmaAt("BTC", thanksgiving, 1, loud), sigmaAt("BTC", thursday, 1, loud));
    assert.ok(sigmaAt("BTC", thanksgiving, 1, loud) > 1.5 * sigmaAt("BTC", "2026-11-26T05:30Z", 1, loud));
  });
});
