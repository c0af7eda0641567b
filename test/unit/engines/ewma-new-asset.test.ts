import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { z } from "zod";
import { loadConfig } from "../../../src/config/load.ts";
import { openEngines } from "../../../src/engines/load.ts";
import { planForecast, type Engines } from "../../../src/engines/route.ts";
import { usSessionShare } from "../../../src/market/session.ts";
import { Random } from "../../../src/math/random.ts";
import { unixSeconds } from "../../../src/units.ts";
import { advance, startState } from "../../../src/volatility/advance.ts";
import type { VolatilityState } from "../../../src/volatility/state.ts";
import { forecastRequest, freshSnapshot, marketSnapshot } from "../../support/forecast-inputs.ts";

/** A share that no calibration has seen, traded around the clock on a perpetual market: its class is all that is known. */
const ASSET = "SPCX";
const SESSION = 5e-4;
const NIGHT = 3e-4;
const WEEKEND = 0.75e-4;
const MINUTES_PER_WEEK = 10_080;

function minuteSigma(time: number): number {
  if (usSessionShare(time, time + 60) > 0) return SESSION;
  // New York is four hours behind in October.
  return new Date((time - 4 * 3600) * 1000).getUTCDay() % 6 === 0 ? WEEKEND : NIGHT;
}

function stateAfter(weeks: number, end: number): VolatilityState {
  const random = Random.fromSeed("new asset");
  let price = 100;
  const candles = Array.from({ length: MINUTES_PER_WEEK * weeks }, (_, i) => {
    const time = end - 60 * (MINUTES_PER_WEEK * weeks - i);
    price *= Math.exp(minuteSigma(time) * random.normal());
    return { openTime: unixSeconds(time), open: price, high: price, low: price, close: price, volume: 1 };
  });
  const started = startState({
    asset: ASSET,
    source: "hyperliquid",
    halfLifeMinuteSeconds: 3600,
    halfLifeFiveMinuteSeconds: 86_400,
  });
  return advance(started, candles, { warmupSeconds: 7 * 86_400, retentionSeconds: 7 * 86_400, source: "hyperliquid" });
}

/** Standard deviation of the day's return, as forecast over as it is. */
function dayRatio(engines: Engines, state: VolatilityState, start: number): number {
  const request = forecastRequest({ asset: ASSET, startTime: unixSeconds(start) });
  const plan = planForecast(request, marketSnapshot(freshSnapshot(state), ASSET), engines);
  const input = plan.task.inputs[0];
  assert.ok(input?.engine === "ewma");
  let [forecast, truth] = [0, 0];
  input.model.stepSigmas.forEach((sigma, step) => {
    forecast += sigma * sigma;
    truth += 5 * minuteSigma(start + step * 300 + 120) ** 2;
  });
  return Math.sqrt(forecast / truth);
}

describe("a new asset of a known class", () => {
  const { config } = loadConfig({
    args: [],
    env: {},
    cwd: "/",
    options: z.object({}),
    positionals: [],
    configFiles: [],
  });
  const onProblem = (problem: string): never => {
    throw new Error(problem);
  };
  const calibrated = openEngines(config, onProblem);
  const plain = openEngines({ ...config, engines: { ...config.engines, calibration: null } }, onProblem);

  for (const weeks of [1, 2, 4]) {
    it(`has sane volatility after ${weeks} week(s), nearer to the truth than without its class, weekends included`, () => {
      let [error, plainError] = [0, 0];
      for (const start of ["2026-10-01T12:05Z", "2026-10-01T18:00Z", "2026-10-05T08:00Z", "2026-10-05T14:00Z"]) {
        const time = Date.parse(start) / 1000;
        const state = stateAfter(weeks, time - 60);
        const ratio = dayRatio(calibrated, state, time);
        assert.ok(ratio > 0.8 && ratio < 1.4, `${start}: ${ratio}`);
        error += Math.abs(Math.log(ratio));
        plainError += Math.abs(Math.log(dayRatio(plain, state, time)));
      }
      assert.ok(error < 0.75 * plainError, `${error} ${plainError}`);
    });
  }
});
