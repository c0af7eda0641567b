import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { learnProfiles } from "../../../src/evaluation/calibrate/profiles.ts";
import { collectSamples, longRunSeasonality } from "../../../src/evaluation/calibrate/samples.ts";
import type { ScaleSamples } from "../../../src/evaluation/calibrate/fit-types.ts";
import { sourcesOf } from "../../../src/evaluation/backtest/data.ts";
import type { Candle } from "../../../src/market/candle.ts";
import { countSeasonality, emptySeasonality } from "../../../src/volatility/seasonality.ts";
import { barReturns } from "../../../src/volatility/features.ts";
import {
  backtestSettings,
  corruptedAfter,
  fiveMinuteBars,
  generatedMinutes,
  MONDAY,
  writeCandles,
} from "../../support/candle-folder.ts";
import { tempFolder } from "../../support/temp-folder.ts";
import { volatilityState } from "../../support/forecast-inputs.ts";

const DAY = 86_400;
const CUT = MONDAY + 33 * DAY;
const END = MONDAY + 37 * DAY;
const settings = backtestSettings();
const BARS = fiveMinuteBars(generatedMinutes("BTC", MONDAY, END));

async function folderOf(test: TestContext, candles: readonly Candle[]): Promise<string> {
  const dir = await tempFolder(test);
  await writeCandles(dir, { asset: "BTC", resolution: "5m", candles });
  return dir;
}

function samplesOf(dir: string): ScaleSamples {
  return collectSamples("BTC", {
    ...{ dirs: [dir], horizon: "24h", from: MONDAY + 2 * DAY, to: END, strideSeconds: 53 * 300, minObserved: 0.5 },
    basis: { stepSeconds: 300, halfLifeSeconds: [1800, DAY], knotSeconds: [0, 43_200], seasonal: true },
    settings,
  });
}

describe("what calibrate fits on", () => {
  it("knows nothing of a prompt's own future: features and rhythm up to the cut-off keep every bit", async (test) => {
    const clean = samplesOf(await folderOf(test, BARS));
    // The cut-off of the last untouched prompt is a minute before its start.
    const cut = clean.startTimes[30]!;
    const corrupt = samplesOf(await folderOf(test, corruptedAfter(BARS, cut - 60, 300)));
    assert.deepEqual(corrupt.startTimes, clean.startTimes);
    const before = 31;
    // Three weeks of every five minutes come first.
    assert.ok(clean.startTimes[0]! > MONDAY + 21 * DAY && before < clean.count);
    const head = (values: Float64Array): Float64Array => values.subarray(0, (before * values.length) / clean.count);
    const tail = (values: Float64Array): Float64Array => values.subarray((before * values.length) / clean.count);
    for (const name of ["features", "logSeasonal"] as const) {
      assert.deepEqual(head(corrupt[name]), head(clean[name]), name);
      assert.notDeepEqual(tail(corrupt[name]), tail(clean[name]), name);
    }
    assert.notDeepEqual(head(corrupt.logPrices), head(clean.logPrices));
  });

  it("and profiles nothing of what closes after `to`", async (test) => {
    const [clean, corrupt] = [await folderOf(test, BARS), await folderOf(test, corruptedAfter(BARS, CUT, 300))];
    const learned = (dir: string, to: number): unknown => learnProfiles(["BTC"], { dirs: [dir], settings, to });
    assert.deepEqual(learned(corrupt, CUT), learned(clean, CUT));
    assert.notDeepEqual(learned(corrupt, CUT + DAY), learned(clean, CUT + DAY));
    const { assets, classes } = learnProfiles(["BTC"], { dirs: [clean], settings, to: CUT });
    // The class of one asset is that asset, and weights are weeks.
    assert.deepEqual(classes.crypto, assets.BTC);
    assert.deepEqual(Object.keys(classes), ["crypto"]);
    const weeks = assets.BTC!.weekWeight;
    assert.ok(Math.min(...weeks) > 3.5 && Math.max(...weeks) <= 5, `${Math.min(...weeks)} ${Math.max(...weeks)}`);
  });

  it("counts months of candles, a month at a time, as all at once", async (test) => {
    const [source] = sourcesOf("BTC", [await folderOf(test, BARS)]);
    const found = longRunSeasonality("BTC", { source: source!, settings, to: END });
    const state = volatilityState({ minutes: BARS.length });
    const openTime = Float64Array.from(BARS, (bar) => bar.openTime + 240);
    const close = Float64Array.from(BARS, (bar) => bar.close);
    const returns = barReturns(
      { ...state, warmFrom: BARS[0]!.openTime, candles: { ...state.candles, openTime, close } },
      300,
    );
    const bars = Array.from(returns.openTime, (time, i) => {
      return { openTime: time, stepSeconds: 300, logReturn: returns.logReturn[i]! };
    });
    assert.deepStrictEqual(found, countSeasonality(emptySeasonality(), bars));
  });
});
