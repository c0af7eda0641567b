import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { readEwmaCalibration } from "../../../src/engines/ewma/calibration.ts";
import { runForecast } from "../../../src/engines/forecast.ts";
import { openCheckThread, type ModelChecker } from "../../../src/engines/models/check.ts";
import { readManifest, sha256Of, type ModelEntry, type ModelKind } from "../../../src/engines/models/manifest.ts";
import { openModels, type ModelSource } from "../../../src/engines/models/source.ts";
import { createSimulationPool } from "../../../src/engines/pool.ts";
import { createEngines, planForecast, ROUTES, whenReady } from "../../../src/engines/route.ts";
import type { Row } from "../../../src/engines/routing.ts";
import { COMPETITORS } from "../../../src/evaluation/backtest/contestant.ts";
import { scoreChunk } from "../../../src/evaluation/backtest/score-chunk.ts";
import { replayRecording } from "../../../src/evaluation/replay.ts";
import type { Recording } from "../../../src/store/recording-format.ts";
import { readRecordings } from "../../../src/store/recording-reader.ts";
import { VolatilityStore } from "../../../src/store/volatility-store.ts";
import type { SimulationEvidence } from "../../../src/subnets/synth/evidence.ts";
import { backtestSettings, btcChunk, generatedMinutes, MONDAY, writeCandles } from "../../support/candle-folder.ts";
import { engineDeps, handMadeCalibration, writeCalibration } from "../../support/ewma-calibration.ts";
import { forecastRequest, freshSnapshot, marketSnapshot, volatilityState } from "../../support/forecast-inputs.ts";
import { installTrees } from "../../support/lgbm-models.ts";
import { hashOf, installModels, type ManifestJson } from "../../support/patchtst-models.ts";
import { axonKey, configFor, post, signedPrompt, startRecordedAxon } from "../../support/recorded-axon.ts";
import { SteppedClock } from "../../support/stepped-clock.ts";
import { tempFolder } from "../../support/temp-folder.ts";

const DAY = 86_400;
const request = forecastRequest({ numSimulations: 60 });
const snapshot = marketSnapshot(freshSnapshot(volatilityState({ minutes: 2000, swing: 7e-4 })));
const LGBM_FIRST = { ...ROUTES, BTC: { "1h": ROUTES.BTC["1h"], "24h": ["lgbm", "ewma", "baseline"] as Row } };

/** A folder with a calibration and one manifest of the fixtures' network and trees. */
async function installed(test: TestContext) {
  const dir = await tempFolder(test);
  const calibrationFile = await writeCalibration(dir);
  const sha256 = await hashOf(calibrationFile);
  const clock = new SteppedClock(1000);
  const problems: string[] = [];
  const checked: string[] = [];
  /** Writes both entries; the files of the trees lie in a folder of their own. */
  const write = async (change: (models: ManifestJson["models"]) => unknown = () => undefined): Promise<string> => {
    await installModels(dir, sha256);
    const network = JSON.parse(await readFile(join(dir, "manifest.json"), "utf8")) as ManifestJson;
    const folder = await tempFolder(test);
    await installTrees(folder, sha256);
    const trees = JSON.parse(await readFile(join(folder, "manifest.json"), "utf8")) as ManifestJson;
    const own = trees.models["LF-BTC"]!;
    await writeFile(join(dir, "trees.onnx"), await readFile(join(folder, "trees.onnx")));
    await writeFile(join(dir, "golden-trees.json"), await readFile(join(folder, "golden.json")));
    own.golden.file = "golden-trees.json";
    const models = { ...network.models, ...trees.models };
    change(models);
    await writeFile(join(dir, "manifest.json"), JSON.stringify({ schema: 1, models }));
    return join(dir, "manifest.json");
  };
  const openChecker = (): ModelChecker => {
    const thread = openCheckThread();
    return {
      check: (model) => {
        checked.push(model.name);
        return thread.check(model);
      },
      close: () => {
        thread.close();
      },
    };
  };
  const manifestFile = await write();
  const calibration = { sha256, content: readEwmaCalibration(calibrationFile) };
  const onProblem = (problem: string): void => void problems.push(problem);
  const models = openModels({ manifestFile, calibration, clock, onProblem, openChecker });
  const deps = { models, recalibration: null };
  const engines = createEngines(
    engineDeps({
      calibration: calibration.content,
      patchtst: deps,
      lgbm: { ...deps, choices: { centre: true, residual: true } },
      routes: LGBM_FIRST,
    }),
  );
  return { dir, manifestFile, calibrationFile, write, clock, problems, checked, models, engines };
}

function found(models: ModelSource, kind: ModelKind): string {
  const model = models.find(kind, "BTC", "24h");
  return "code" in model ? model.code : model.reference.sha256.slice(0, 8);
}

/** The fixture's trees with a name of their own inside, and so another hash. */
async function successor(dir: string): Promise<string> {
  const content = await readFile(join(dir, "trees.onnx"));
  content.write("FIXTURE", content.indexOf("fixture"), "latin1");
  await writeFile(join(dir, "next.onnx"), content);
  return sha256Of(content);
}

describe("one manifest of networks and trees", () => {
  it("serves both engines, each with its own, and hands over until they are checked", async (test) => {
    const { models, engines, checked, problems } = await installed(test);
    const loading = planForecast(request, snapshot, engines);
    assert.deepEqual(
      loading.handOvers.map(({ engine, code }) => [engine, code]),
      [["lgbm", "model/loading"]],
    );
    await whenReady(engines);
    assert.deepEqual([checked, problems], [["LF-crypto", "LF-BTC"], []]);
    assert.notEqual(found(models, "patchtst"), found(models, "lgbm"));
    const plan = planForecast(request, snapshot, engines);
    assert.deepEqual(plan.handOvers, []);
    assert.equal((await runForecast(plan.task)).engine, "lgbm");
    assert.ok(engines.patchtst.prepare(request, snapshot).ok);
  });

  it("takes over new trees after their checks, without checking the network again", async (test) => {
    const { models, engines, dir, write, clock, checked, problems } = await installed(test);
    await whenReady(engines);
    const before = [found(models, "patchtst"), found(models, "lgbm")];
    const next = await successor(dir);
    await write((entries) => Object.assign(entries["LF-BTC"]!, { file: "next.onnx", sha256: next }));
    clock.advance(11);
    assert.equal(found(models, "lgbm"), before[1], "the running trees answer while their successor is checked");
    await models.whenReady();
    assert.deepEqual([found(models, "patchtst"), found(models, "lgbm")], [before[0], next.slice(0, 8)]);
    assert.deepEqual([checked, problems], [["LF-crypto", "LF-BTC", "LF-BTC"], []]);
  });

  it("keeps the trees it has where new ones fail their checks, says so once, and recovers", async (test) => {
    const { models, engines, dir, write, clock, problems } = await installed(test);
    await whenReady(engines);
    const before = found(models, "lgbm");
    const garbage = Buffer.from("no trees");
    await writeFile(join(dir, "broken.onnx"), garbage);
    const fault = { file: "broken.onnx", sha256: sha256Of(garbage) };
    await write((entries) => Object.assign(entries["LF-BTC"]!, fault));
    for (let look = 0; look < 3; look++) {
      clock.advance(11);
      await models.whenReady();
    }
    assert.equal(found(models, "lgbm"), before);
    assert.equal(problems.length, 1, problems.join("; "));
    assert.match(problems[0]!, /^model\/corrupt: .*broken\.onnx.*the model before it stays$/);
    const next = await successor(dir);
    await write((entries) => Object.assign(entries["LF-BTC"]!, { file: "next.onnx", sha256: next }));
    clock.advance(11);
    await models.whenReady();
    assert.equal(found(models, "lgbm"), next.slice(0, 8));
  });

  it("goes on with the next model where the thread that checks one dies of it", async (test) => {
    const { manifestFile } = await installed(test);
    const [, horizon] = Object.entries(handMadeCalibration().horizons).find(([name]) => name === "24h")!;
    const { "LF-BTC": entry } = readManifest(manifestFile).models;
    const checker = openCheckThread();
    try {
      const model = { name: "LF-BTC", entry: entry!, manifestFile, horizon: horizon! };
      const deadly = { ...model, entry: { ...entry, kind: "deadly" } as unknown as ModelEntry };
      assert.equal((await checker.check(deadly))?.code, "model/failed");
      assert.equal(await checker.check(model), null);
    } finally {
      checker.close();
    }
  });
});

describe("LGBM in worker threads", () => {
  it("answers with the bytes of this thread, with and without rank matching", async (test) => {
    const { engines } = await installed(test);
    await whenReady(engines);
    const { task } = planForecast(request, snapshot, engines);
    const [input] = task.inputs;
    assert.ok(input?.engine === "lgbm");
    const matched = { ...input, base: { ...input.base, rankMatched: true } };
    const pool = await createSimulationPool({ threads: 1, simulationTimeoutMs: 30_000 });
    try {
      for (const inputs of [task.inputs, [matched]]) {
        const result = await pool.simulate({ ...task, inputs });
        assert.deepEqual([result.engine, result.handOvers], ["lgbm", []]);
        assert.equal(result.digest, (await runForecast({ ...task, inputs })).digest);
      }
    } finally {
      await pool.close();
    }
  });
});

describe("recordings of the LGBM engine", () => {
  /** An axon's recording whose answer the trees gave, replayed. */
  async function replayed(test: TestContext, change: (recording: SimulationEvidence["task"]["inputs"]) => unknown) {
    const stateDir = await tempFolder(test);
    const { engines, calibrationFile } = await installed(test);
    await writeFile(join(stateDir, "calibration.json"), await readFile(calibrationFile));
    const server = await startRecordedAxon(stateDir);
    await (await post(server.url, signedPrompt({ time_increment: 300, time_length: DAY }))).arrayBuffer();
    await server.close();
    let recording: Recording | undefined;
    for await (const entry of readRecordings(join(stateDir, "recordings", axonKey.address))) {
      if (entry.kind === "recording") ({ recording } = entry);
    }
    assert.ok(recording);
    await whenReady(engines);
    const evidence = recording.exchange.evidence as SimulationEvidence;
    const asked = forecastRequest(evidence.task.request);
    const { task } = planForecast(asked, { ...snapshot, anchor: evidence.anchor }, engines);
    const { engine, engineVersion, digest, pathChecksums } = await runForecast(task);
    assert.equal(engine, "lgbm");
    const inputs = structuredClone([...task.inputs]);
    change(inputs);
    const answered = { engine, engineVersion, digest, pathChecksums: [...pathChecksums] };
    const exchange = {
      ...recording.exchange,
      fieldDigests: { simulation_output: digest },
      evidence: { ...evidence, ...answered, task: { request: asked, inputs } },
    };
    return replayRecording(
      { ...recording, exchange },
      {
        identity: recording.identity,
        engines,
        limits: configFor(stateDir).axon,
        loadState: (asset) => new VolatilityStore(stateDir).load(asset),
      },
    );
  }

  it("replay to the same bytes", async (test) => {
    const report = await replayed(test, () => undefined);
    assert.deepEqual([report.outcome, report.differences], ["identical", []]);
  });

  it("name the model when it is no longer the one that answered", async (test) => {
    const report = await replayed(test, (inputs) => {
      (inputs[0] as { model: { sha256: string } }).model.sha256 = "5".repeat(64);
    });
    assert.equal(report.outcome, "different");
    const difference = report.differences.find(({ what }) => what === "simulation by lgbm");
    assert.match(difference?.replayed ?? "", /^model\/mismatch: .*expected the file with sha256 55555/);
  });
});

describe("a backtest of the LGBM engine", () => {
  async function scoresOf(
    test: TestContext,
    lgbm: { centre: boolean; residual: boolean },
  ): Promise<Map<string, number>> {
    const dir = await tempFolder(test);
    const candles = generatedMinutes("BTC", MONDAY, MONDAY + 4 * DAY);
    await writeCandles(dir, { asset: "BTC", resolution: "1m", candles });
    const { manifestFile, calibrationFile } = await installed(test);
    const chunk = btcChunk(dir, { starts: [MONDAY + 2 * DAY] });
    const settings = { ...backtestSettings(200, calibrationFile), models: manifestFile, lgbm };
    const contestants = COMPETITORS.filter((name) => name !== "baseline");
    const [result] = await scoreChunk({ kind: "score", chunk, contestants, settings });
    const { scores } = result!;
    assert.deepEqual(
      scores.map(({ answeredBy, handOvers }) => [answeredBy, handOvers]),
      contestants.map((name) => [name, []]),
    );
    return new Map(scores.map(({ engine, total }) => [engine, total]));
  }

  it("shows it beside the others, with its centre and its residual on and off", async (test) => {
    const full = await scoresOf(test, { centre: true, residual: true });
    assert.equal(new Set(full.values()).size, 5);
    const flat = await scoresOf(test, { centre: false, residual: true });
    assert.equal(flat.get("lgbm"), full.get("lgbm/no-centre"));
    assert.equal(flat.get("lgbm/no-residual"), full.get("ewma"));
    const plain = await scoresOf(test, { centre: true, residual: false });
    assert.equal(plain.get("lgbm"), full.get("lgbm/no-residual"));
    assert.equal(plain.get("patchtst"), full.get("patchtst"));
  });
});
