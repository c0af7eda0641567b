import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { calibrateCommand } from "../../../src/commands/calibrate.ts";
import { loadConfig } from "../../../src/config/load.ts";
import type { EngineName } from "../../../src/engines/engine.ts";
import { calibrationId, readEwmaCalibration } from "../../../src/engines/ewma/calibration.ts";
import { ENGINE_VERSIONS, runForecast } from "../../../src/engines/forecast.ts";
import { openModels } from "../../../src/engines/models/source.ts";
import { appliedFactors } from "../../../src/engines/recalibration.ts";
import { createEngines, planForecast, ROUTES, whenReady, type Engines } from "../../../src/engines/route.ts";
import { OperationalError } from "../../../src/errors.ts";
import { calibrateModel } from "../../../src/evaluation/calibrate-model.ts";
import { boundChange } from "../../../src/evaluation/recalibrate/estimate.ts";
import {
  openRecalibration,
  RecalibrationReader,
  type LengthStatistics,
} from "../../../src/store/recalibration-store.ts";
import { createRecordingLog } from "../../../src/store/recording-log.ts";
import { VolatilityStore } from "../../../src/store/volatility-store.ts";
import { silentLogger } from "../../../src/log.ts";
import { unixMillis, unixSeconds } from "../../../src/units.ts";
import { engineDeps, writeCalibration } from "../../support/ewma-calibration.ts";
import { forecastRequest, freshSnapshot, marketSnapshot } from "../../support/forecast-inputs.ts";
import { installTrees } from "../../support/lgbm-models.ts";
import { hashOf, installModels } from "../../support/patchtst-models.ts";
import { recordedExchange, testIdentity } from "../../support/recorded-exchange.ts";
import { MARKET_START, SimulatedMiner } from "../../support/simulated-miner.ts";
import { tempFolder } from "../../support/temp-folder.ts";

const DAY = 86_400;
const HOUR = 3600;

function length(seconds: number, factor: number | null): LengthStatistics {
  return { seconds, days: [], raw: 1, effectiveBlocks: 500, factor, basis: "own" };
}

describe("a run's change of factors", () => {
  it("is at most 5 % from those in use, and from 1 where there were none", () => {
    const found = [length(60, 1.17), length(300, 0.87), length(1800, 1.02), length(3600, 1.1), length(7200, null)];
    const before = [length(60, 1.1), length(300, 1), length(1800, 1), length(3600, null)];
    assert.deepEqual(
      boundChange(found, before).map(({ factor }) => factor),
      [1.1 * 1.05, 1 / 1.05, 1.02, 1.05, null],
    );
    assert.deepEqual(boundChange(found, found), found);
  });
});

/** Records hourly answers of the engines to 24h prompts of `[from, to)`, as an axon does. */
async function record(
  miner: SimulatedMiner,
  engines: Engines,
  span: { from: number; to: number; engine: EngineName },
): Promise<void> {
  const log = createRecordingLog({
    dir: join(miner.stateDir, "recordings", "5Hotkey"),
    limits: { maxBytes: 1e9, maxAgeDays: 365 },
    clock: miner.clock,
    logger: silentLogger,
    identity: testIdentity,
  });
  for (let start = span.from; start < span.to; start += HOUR) {
    await miner.updateTo(start - 60);
    const loaded = new VolatilityStore(miner.stateDir).load("BTC");
    assert.ok(loaded.status === "ok");
    const anchor = { price: miner.closeAt(start), source: "binance", ageSeconds: 0.5 } as const;
    const request = forecastRequest({ startTime: unixSeconds(start), numSimulations: 100, seed: `${start}` });
    const snapshot = { ...marketSnapshot(freshSnapshot(loaded.state)), anchor };
    const { task } = planForecast(request, snapshot, engines);
    const { engine, engineVersion, digest, pathChecksums, handOvers } = await runForecast(task);
    assert.deepEqual([engine, handOvers], [span.engine, []]);
    const evidence = {
      ...{ task, engine, engineVersion, handOvers, anchor, anchorFailure: null },
      state: { status: "ok", identity: "abc", ageSeconds: 30 },
      ...{ pathChecksums: [...pathChecksums], simulateMs: 1, encodeMs: 1, digest },
    };
    const fieldDigests = { simulation_output: digest };
    log.append(recordedExchange({ receivedAtMs: unixMillis(miner.clock.ms), evidence, fieldDigests }));
  }
  await log.close();
}

/** Models of the fixtures, and what installs them. */
const TRAINED = [
  { engine: "patchtst", model: "LF-crypto", install: installModels },
  { engine: "lgbm", model: "LF-BTC", install: installTrees },
] as const;

describe("calibrate --model", () => {
  for (const { engine, model, install } of TRAINED) {
    it(`learns ${model}'s own factors from its own answers, a bounded step a run, and ${engine} uses them`, async (test) => {
      const dir = await tempFolder(test);
      const miner = new SimulatedMiner(dir, { sigmaRatio: 1, days: 7, seed: "patchtst" });
      const calibrationFile = await writeCalibration(dir);
      const sha256 = await hashOf(calibrationFile);
      const manifestFile = await install(dir, sha256);
      const content = readEwmaCalibration(calibrationFile);
      const calibration = { sha256, content };
      const onProblem = (problem: string): void => {
        assert.fail(problem);
      };
      const models = openModels({ manifestFile, calibration, clock: miner.clock, onProblem });
      const clocks = { market: miner.clock, wall: miner.clock };
      const reader = (name: EngineName): RecalibrationReader =>
        new RecalibrationReader(dir, { engine: { name, version: ENGINE_VERSIONS[name] }, clocks });
      const engines = createEngines(
        engineDeps({
          calibration: content,
          recalibration: reader("ewma"),
          patchtst: { models, recalibration: reader("patchtst") },
          lgbm: { models, recalibration: reader("lgbm"), choices: { centre: true, residual: true } },
          routes: { ...ROUTES, BTC: { ...ROUTES.BTC, "24h": [engine, "ewma", "baseline"] } },
        }),
      );
      await whenReady(engines);
      const [from, to] = [MARKET_START + DAY + HOUR, MARKET_START + 5 * DAY];
      await record(miner, engines, { from, to, engine });

      const scoring = {
        ...{ manifestFile, stateDir: dir, since: null, maxPerHour: 6, budgetMs: 60_000, realTime: true },
        ...{ clocks: { market: miner.clock, wall: miner.clock }, signal: new AbortController().signal },
      };
      await miner.updateTo(MARKET_START + 5 * DAY);
      const first = await calibrateModel(model, scoring);
      assert.deepEqual([...first.result.skipped], []);
      const [btc, ...others] = first.scales;
      assert.equal(btc!.asset, "BTC");
      assert.ok(others.every(({ prompts }) => prompts === 0));
      assert.ok(btc!.prompts >= 60, String(btc!.prompts));
      // The untrained model's sigma is far off: the estimate goes as far as a run may.
      const [shortest] = btc!.lengths;
      assert.deepEqual([shortest!.seconds, shortest!.basis], [300, "own"]);
      assert.ok(Math.abs(shortest!.raw! - 1) > 0.1, String(shortest!.raw));
      const step = shortest!.raw! > 1 ? 1.05 : 1 / 1.05;
      assert.equal(shortest!.factor, step);

      await miner.updateTo(MARKET_START + 6 * DAY);
      const second = await calibrateModel(model, scoring);
      assert.equal(second.scales[0]!.lengths[0]!.factor, step * step);

      const own = openRecalibration(dir, miner.clock);
      const id = calibrationId(calibration.content);
      assert.equal(own[engine].lookUp("BTC", "24h", id).factors[0]!.factor, step * step);
      assert.match(own.ewma.lookUp("BTC", "24h", id).reason!, /no answers of ewma/);
      miner.clock.ms += 10_000;
      const loaded = new VolatilityStore(dir).load("BTC");
      assert.ok(loaded.status === "ok");
      const request = forecastRequest({ startTime: unixSeconds(MARKET_START + 6 * DAY + 60) });
      const [trained, ewma] = planForecast(request, marketSnapshot(freshSnapshot(loaded.state)), engines).task.inputs;
      assert.deepEqual([trained!.engine, ewma!.engine], [engine, "ewma"]);
      assert.equal(appliedFactors(trained!)[0]!.factor, step * step);
      assert.deepEqual(appliedFactors(ewma!), []);
    });
  }

  it("is refused by name without that model, before anything is learnt", async (test) => {
    const dir = await tempFolder(test);
    const manifestFile = await installModels(dir, "0".repeat(64));
    const miner = new SimulatedMiner(dir, { sigmaRatio: 1, days: 1, seed: "none" });
    const scoring = {
      ...{ manifestFile, stateDir: dir, since: null, maxPerHour: 6, budgetMs: 60_000, realTime: true },
      ...{ clocks: { market: miner.clock, wall: miner.clock }, signal: new AbortController().signal },
    };
    await assert.rejects(
      calibrateModel("HF", scoring),
      (error) => error instanceof OperationalError && error.code === "model/not_installed",
    );
  });

  it("takes no options of a fit on candles beside it", () => {
    const { options, positionals, check } = calibrateCommand;
    const args = ["--model", "HF", "--out", "x.json"];
    const own = { options, positionals, configFiles: [], ...(check && { check }) };
    assert.throws(() => loadConfig({ args, env: {}, cwd: "/", ...own }), /--model: expected no --data/);
  });
});
