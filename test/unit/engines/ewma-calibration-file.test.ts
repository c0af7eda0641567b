import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { loadConfig } from "../../../src/config/load.ts";
import { readEwmaCalibration } from "../../../src/engines/ewma/calibration.ts";
import { openEngines, readEngineFiles } from "../../../src/engines/load.ts";
import { OperationalError } from "../../../src/errors.ts";
import { enginesOf } from "../../../src/evaluation/backtest/contestant.ts";
import { z } from "zod";
import { backtestSettings } from "../../support/candle-folder.ts";
import {
  handMadeCalibration,
  horizonOf,
  profileData,
  scaleOf,
  writeCalibration,
} from "../../support/ewma-calibration.ts";
import { forecastRequest, freshSnapshot, marketSnapshot, volatilityState } from "../../support/forecast-inputs.ts";
import { tempFolder } from "../../support/temp-folder.ts";

const good = handMadeCalibration();
const day = (changes: object): unknown => ({
  ...good,
  horizons: { ...good.horizons, "24h": { ...horizonOf(300), ...changes } },
});
const btc = (changes: object): unknown => day({ assets: { BTC: { ...scaleOf(), ...changes } } });
const rhythm = (changes: object): unknown => ({
  ...good,
  profiles: { assets: { BTC: { ...profileData(), ...changes } }, classes: {} },
});
const without = (name: string): unknown => Object.fromEntries(Object.entries(good).filter(([key]) => key !== name));

/** What is wrong, the file's content, and what the message must say. */
const GARBAGE: readonly (readonly [string, unknown, RegExp])[] = [
  ["null", null, /expected object, received null/],
  ["a list", [], /expected object, received array/],
  ["another schema", { ...good, schema: 2 }, /schema: .*expected 1/],
  ["a key too many", { ...good, extra: 1 }, /extra/],
  ["no horizons", without("horizons"), /horizons/],
  ["no profiles", without("profiles"), /profiles/],
  ["no seed", without("seed"), /seed/],
  ["a window without dates", { ...good, window: { from: "soon", to: "later" } }, /window\.from/],
  ["one horizon", { ...good, horizons: { "24h": null } }, /horizons\.1h/],
  ["no half-lives", day({ halfLifeSeconds: [] }), /24h\.halfLifeSeconds/],
  ["a half-life of zero", day({ halfLifeSeconds: [0, 1] }), /24h\.halfLifeSeconds\.0/],
  ["falling half-lives", day({ halfLifeSeconds: [86_400, 1800] }), /24h\.halfLifeSeconds/],
  ["one knot", day({ knotSeconds: [0] }), /24h\.knotSeconds/],
  ["a negative knot", day({ knotSeconds: [-1, 5] }), /24h\.knotSeconds\.0/],
  ["falling knots", day({ knotSeconds: [43_200, 0] }), /24h\.knotSeconds/],
  ["a knot twice", day({ knotSeconds: [600, 600] }), /24h\.knotSeconds/],
  ["nu without a variance", day({ nu: 2 }), /24h\.nu/],
  ["nu as text", day({ nu: "5" }), /24h\.nu/],
  ["nu null, as JSON writes NaN", day({ nu: NaN }), /24h\.nu/],
  ["tau below zero", day({ latent: { tau: -0.1, halfLifeSeconds: 3600 } }), /24h\.latent\.tau/],
  ["a latent half-life of zero", day({ latent: { tau: 0.3, halfLifeSeconds: 0 } }), /24h\.latent\.halfLifeSeconds/],
  ["a step of zero", day({ stepSeconds: 0 }), /24h\.stepSeconds/],
  ["an unknown asset", day({ assets: { DOGE: scaleOf() } }), /24h\.assets.*DOGE/],
  ["an unknown class", day({ classes: { forex: scaleOf() } }), /24h\.classes.*forex/],
  ["an intercept beyond e^3", btc({ intercepts: [4, 0] }), /BTC\.intercepts\.0/],
  ["too few intercepts", day({ knotSeconds: [0, 1, 2] }), /24h: expected 2 rows of 3 values/],
  ["too few betas", btc({ betas: [[0.5, 0.5]] }), /24h: expected 2 rows of 2 values/],
  [
    "a short row of betas",
    btc({
      betas: [
        [0.5, 0.5],
        [0.5, 0.5, 0.5],
      ],
    }),
    /24h: expected 2 rows of 2 values/,
  ],
  ["a ratio of zero", btc({ varianceRatios: [{ seconds: 60, ratio: 0 }] }), /varianceRatios\.0\.ratio/],
  ["half a prompt", btc({ origins: 0.5 }), /origins/],
  ["a week of 2015 bins", rhythm({ week: new Array<number>(2015).fill(1) }), /profiles\.assets\.BTC\.week/],
  ["a factor of zero", rhythm({ week: new Array<number>(2016).fill(0) }), /profiles\.assets\.BTC\.week\.0/],
  ["a negative weight", rhythm({ minuteWeight: -1 }), /profiles\.assets\.BTC\.minuteWeight/],
];

function problemOf(read: () => unknown): OperationalError {
  try {
    read();
  } catch (error) {
    assert.ok(error instanceof OperationalError, String(error));
    return error;
  }
  assert.fail("was read");
}

describe("a calibration file", () => {
  it("is read as it was written", async (t) => {
    assert.deepEqual(readEwmaCalibration(await writeCalibration(await tempFolder(t), good)), good);
  });

  for (const [name, content, message] of GARBAGE) {
    it(`with ${name} is refused, by file and place`, async (t) => {
      const path = await writeCalibration(await tempFolder(t), content);
      const problem = problemOf(() => readEwmaCalibration(path));
      assert.equal(problem.code, "calibration/corrupt");
      assert.match(problem.message, message);
      assert.ok(problem.message.includes(path), problem.message);
    });
  }

  it("that is no JSON, cut short, beyond all numbers, no file at all or a folder is refused", async (t) => {
    const dir = await tempFolder(t);
    const path = join(dir, "text.json");
    const text = JSON.stringify(good);
    for (const garbage of ["", "calibration", "\0\x01", text.slice(0, -1), text.replace('"nu":5', '"nu":1e999')]) {
      await writeFile(path, garbage);
      assert.equal(problemOf(() => readEwmaCalibration(path)).code, "calibration/corrupt");
    }
    await mkdir(join(dir, "folder"));
    for (const name of ["missing.json", "folder"]) {
      const problem = problemOf(() => readEwmaCalibration(join(dir, name)));
      assert.equal(problem.code, "calibration/unreadable");
      assert.ok(problem.message.includes(join(dir, name)));
    }
  });

  it("that cannot be used leaves the plain EWMA, which says so; a backtest refuses", async (t) => {
    const path = await writeCalibration(await tempFolder(t), { ...good, schema: 2 });
    const { calibration, problems } = readEngineFiles({ calibration: path });
    assert.equal(calibration, null);
    assert.equal(problems.length, 1);
    assert.match(problems[0]!, /schema: .*; the plain EWMA answers$/);
    assert.deepEqual(readEngineFiles({ calibration: null }).problems, []);

    const { config } = loadConfig({
      ...{ args: ["--engines.calibration", path], env: {}, cwd: "/", options: z.object({}), positionals: [] },
      configFiles: [],
    });
    const heard: string[] = [];
    const engines = openEngines(config, (problem) => heard.push(problem));
    assert.deepEqual(heard, problems);
    const state = volatilityState({ minutes: 3000, swing: 7e-4 });
    const prepared = engines.ewma.prepare(forecastRequest(), marketSnapshot(freshSnapshot(state)));
    assert.ok(prepared.ok && prepared.input.engine === "ewma");
    assert.deepEqual(
      prepared.input.fallbacks.map(({ code }) => code),
      ["calibration/missing"],
    );
    assert.equal(problemOf(() => enginesOf(backtestSettings(40, path))).code, "backtest/engines");
  });
});
