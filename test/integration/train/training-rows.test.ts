import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { enginesOf } from "../../../src/evaluation/backtest/contestant.ts";
import { originsOf } from "../../../src/evaluation/backtest/origin.ts";
import { trainingInput } from "../../../src/evaluation/train/training-row.ts";
import { collectLgbmRows, collectRows, type TrainingRow } from "../../../src/evaluation/train/training-set.ts";
import type { Candle } from "../../../src/market/candle.ts";
import {
  backtestSettings,
  btcChunk,
  fiveMinuteBars,
  generatedMinutes,
  MONDAY,
  writeCandles,
} from "../../support/candle-folder.ts";
import { handMadeCalibration, writeCalibration } from "../../support/ewma-calibration.ts";
import { tempFolder } from "../../support/temp-folder.ts";

const DAY = 86_400;
const END = MONDAY + 12 * DAY;
const MINUTES = generatedMinutes("BTC", MONDAY, END);
const COLUMNS = ["baseLogSigma", "features", "sequence", "calendar"] as const;

async function folderOf(test: TestContext, resolution: "1m" | "5m", candles: readonly Candle[]): Promise<string> {
  const dir = await tempFolder(test);
  await writeCandles(dir, { asset: "BTC", resolution, candles });
  return dir;
}

const calibration = handMadeCalibration();
const horizon = calibration.horizons["24h"]!;

async function settingsFor(test: TestContext): Promise<ReturnType<typeof backtestSettings>> {
  return backtestSettings(40, await writeCalibration(await tempFolder(test), calibration));
}

function rowsOf(test: TestContext, candles: readonly Candle[]): Promise<TrainingRow[]> {
  return rowsBy(collectRows, test, candles);
}

async function rowsBy<Row>(
  collect: (...walk: Parameters<typeof collectRows>) => Row[],
  test: TestContext,
  candles: readonly Candle[],
): Promise<Row[]> {
  const settings = await settingsFor(test);
  const walk = { from: MONDAY + 2 * DAY, to: END, strideSeconds: 53 * 300, minObserved: 0.5, settings };
  const dirs = [await folderOf(test, "5m", candles)];
  return collect("BTC", { ...walk, dirs, horizon: "24h" }, { calibration, horizon }, () => undefined);
}

/** Bars that close after `time` jump up and down by two parts in a thousand: wilder ones would be refused as a broken feed. */
function disturbedAfter(candles: readonly Candle[], time: number): Candle[] {
  return candles.map((candle, i) => {
    if (candle.openTime + 300 <= time) return candle;
    const factor = i % 2 === 0 ? 1.001 : 0.999;
    const { open, high, low, close } = candle;
    return { ...candle, open: open * factor, high: high * factor, low: low * factor, close: close * factor };
  });
}

describe("what a network trains on", () => {
  it("knows nothing of a prompt's own future: inputs up to the cut-off keep every bit", async (test) => {
    const bars = fiveMinuteBars(MINUTES);
    const clean = await rowsOf(test, bars);
    const last = 20;
    const corrupt = await rowsOf(test, disturbedAfter(bars, clean[last]!.start - 60));
    assert.equal(corrupt.length, clean.length);
    for (const [i, row] of clean.entries()) {
      for (const name of COLUMNS) {
        if (i <= last) assert.deepEqual(corrupt[i]![name], row[name], name);
        else if (name !== "calendar") assert.notDeepEqual(corrupt[i]![name], row[name], name);
      }
    }
    assert.notDeepEqual(corrupt[last]!.logPrices, clean[last]!.logPrices);
  });

  it("sees the same bars, ranges included, in minutes as in five minutes", async (test) => {
    const settings = await settingsFor(test);
    const basis = { engines: enginesOf(settings), calibration, horizon, offHoursMultiplier: 1 };
    // Past the last close of both: five-minute bars of the start's own last four minutes are not known in either.
    const starts = [MONDAY + 9 * DAY];
    const inputs = [];
    for (const resolution of ["1m", "5m"] as const) {
      const dir = await folderOf(test, resolution, resolution === "1m" ? MINUTES : fiveMinuteBars(MINUTES));
      const chunk = btcChunk(dir, { starts, source: { dir, resolution, folder: "BTC", priceFactor: 1 } });
      for (const origin of originsOf(chunk, settings)) inputs.push(trainingInput(origin, basis)!);
    }
    const [minutes, bars] = inputs;
    assert.ok(minutes!.sequence.every(Number.isFinite));
    minutes!.sequence.forEach((value, i) => {
      // Floats of 32 bits; the prices went through CSV alike.
      assert.ok(Math.abs(value - bars!.sequence[i]!) < 1e-5 * Math.max(1, Math.abs(value)), `${i}: ${value}`);
    });
    assert.ok(minutes!.sequence.some((value, i) => i % 2 === 1 && value > Math.abs(minutes!.sequence[i - 1]!) * 1.01));
  });

  it("shows boosters nothing of a prompt's own future either", async (test) => {
    const bars = fiveMinuteBars(MINUTES);
    const clean = await rowsBy(collectLgbmRows, test, bars);
    const last = 20;
    const corrupt = await rowsBy(collectLgbmRows, test, disturbedAfter(bars, clean[last]!.start - 60));
    assert.equal(corrupt.length, clean.length);
    for (const [i, { features, baseLogSigma }] of clean.entries()) {
      assert.ok(features.length > 30 && features.some(Number.isFinite));
      if (i <= last) assert.deepEqual([corrupt[i]!.features, corrupt[i]!.baseLogSigma], [features, baseLogSigma]);
      else assert.notDeepEqual(corrupt[i]!.features, features);
    }
  });
});
