import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile, rm, writeFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { promisify } from "node:util";
import type { HandOver } from "../../../src/engines/engine.ts";
import { readEwmaCalibration } from "../../../src/engines/ewma/calibration.ts";
import { openEngines } from "../../../src/engines/load.ts";
import { sha256Of } from "../../../src/engines/models/manifest.ts";
import { openModels, type ModelSource, type ModelSourceOptions } from "../../../src/engines/models/source.ts";
import type { PatchTstInput } from "../../../src/engines/patchtst/patchtst.ts";
import { createSimulationPool } from "../../../src/engines/pool.ts";
import { createEngines, planForecast, whenReady, type Engines } from "../../../src/engines/route.ts";
import { runForecast } from "../../../src/engines/forecast.ts";
import { replayRecording, type ReplayReport } from "../../../src/evaluation/replay.ts";
import type { Recording } from "../../../src/store/recording-format.ts";
import { readRecordings } from "../../../src/store/recording-reader.ts";
import { VolatilityStore } from "../../../src/store/volatility-store.ts";
import type { SimulationEvidence } from "../../../src/subnets/synth/evidence.ts";
import { engineDeps, writeCalibration } from "../../support/ewma-calibration.ts";
import { forecastRequest, freshSnapshot, marketSnapshot, volatilityState } from "../../support/forecast-inputs.ts";
import { hashOf, installModels, type ManifestJson } from "../../support/patchtst-models.ts";
import { axonKey, configFor, post, signedPrompt, startRecordedAxon } from "../../support/recorded-axon.ts";
import { SteppedClock } from "../../support/stepped-clock.ts";
import { tempFolder } from "../../support/temp-folder.ts";

const request = forecastRequest({ numSimulations: 20 });
const snapshot = marketSnapshot(freshSnapshot(volatilityState({ minutes: 1500, swing: 7e-4 })));

/** A folder with a calibration and the fixture's model of it. */
async function installed(
  test: TestContext,
  options: { readonly change?: (manifest: ManifestJson) => void } & Partial<ModelSourceOptions> = {},
) {
  const dir = await tempFolder(test);
  const { change, ...own } = options;
  const calibrationFile = await writeCalibration(dir);
  const sha256 = await hashOf(calibrationFile);
  const manifestFile = await installModels(dir, sha256, change);
  const calibration = { sha256, content: readEwmaCalibration(calibrationFile) };
  const clock = new SteppedClock(1000);
  const problems: string[] = [];
  const onProblem = (problem: string): void => void problems.push(problem);
  const models = openModels({ manifestFile, calibration, clock, onProblem, ...own });
  return { dir, manifestFile, calibration, calibrationFile, sha256, clock, problems, models };
}

function found(models: ModelSource): string {
  const model = models.find("patchtst", "BTC", "24h");
  return "code" in model ? model.code : model.reference.sha256.slice(0, 8);
}

function enginesWith(models: ModelSource, calibration: { content: ReturnType<typeof readEwmaCalibration> }): Engines {
  return createEngines(engineDeps({ calibration: calibration.content, patchtst: { models, recalibration: null } }));
}

function patchtstHandOver(engines: Engines): HandOver | undefined {
  return planForecast(request, snapshot, engines).handOvers.find(({ engine }) => engine === "patchtst");
}

describe("models: from the manifest to the first answer", () => {
  it("are used once they have been checked, and hand over until then", async (test) => {
    const { models, calibration, problems } = await installed(test);
    const engines = enginesWith(models, calibration);
    assert.equal(patchtstHandOver(engines)?.code, "model/loading");
    await whenReady(engines);
    const plan = planForecast(request, snapshot, engines);
    assert.deepEqual(
      plan.task.inputs.map(({ engine }) => engine),
      ["patchtst", "ewma", "baseline"],
    );
    assert.equal((await runForecast(plan.task)).engine, "patchtst");
    assert.deepEqual(problems, []);
  });

  it("are opened by a configuration, from the files beside it", async (test) => {
    const { calibrationFile, manifestFile } = await installed(test);
    const { engines: own } = configFor(await tempFolder(test));
    const heard: string[] = [];
    const onProblem = (problem: string): void => void heard.push(problem);
    const config = { engines: { ...own, calibration: calibrationFile } };
    const engines = openEngines(config, onProblem, null, { manifest: manifestFile, routing: "/none.json" });
    await whenReady(engines);
    assert.equal(planForecast(request, snapshot, engines).task.inputs[0]!.engine, "patchtst");
    assert.deepEqual(heard, []);
  });

  const UNUSABLE: readonly (readonly [string, string, number, (manifest: ManifestJson) => unknown])[] = [
    ["no such model", "model/not_installed", 0, (manifest) => (manifest.models = {})],
    ["another schema", "model/corrupt", 1, (manifest) => (manifest.schema = 2)],
    [
      "a model of another calibration",
      "model/other_calibration",
      0,
      ({ models }) => (models["LF-crypto"]!["calibrationSha256"] = "3".repeat(64)),
    ],
    [
      "a model with another hash",
      "model/mismatch",
      1,
      ({ models }) => (models["LF-crypto"]!["sha256"] = "3".repeat(64)),
    ],
  ];
  for (const [name, code, told, change] of UNUSABLE) {
    it(`are handed over for by name, and told of, with ${name}`, async (test) => {
      const { models, calibration, problems } = await installed(test, { change });
      const engines = enginesWith(models, calibration);
      await whenReady(engines);
      assert.equal(patchtstHandOver(engines)?.code, code);
      assert.equal(problems.length, told, problems.join("; "));
      assert.equal((await runForecast(planForecast(request, snapshot, engines).task)).engine, "ewma");
    });
  }

  it("are not there without a manifest, and nothing is told of it", async (test) => {
    const { models, calibration, problems, manifestFile } = await installed(test);
    await rm(manifestFile);
    const engines = enginesWith(models, calibration);
    await whenReady(engines);
    assert.equal(patchtstHandOver(engines)?.code, "model/not_installed");
    assert.deepEqual(problems, []);
  });
});

describe("models: a new manifest while serving", () => {
  /** The fixture's network with a name of its own inside, and so another hash. */
  async function successor(dir: string): Promise<string> {
    const content = await readFile(join(dir, "tiny.onnx"));
    const at = content.indexOf("fixture");
    content.write("FIXTURE", at, "latin1");
    await writeFile(join(dir, "next.onnx"), content);
    return sha256Of(content);
  }

  it("is taken over after its checks, at the earliest ten seconds after the last look", async (test) => {
    const { models, dir, sha256, clock, problems } = await installed(test);
    await models.whenReady();
    const before = found(models);
    const next = await successor(dir);
    await installModels(dir, sha256, (manifest) => {
      Object.assign(manifest.models["LF-crypto"]!, { file: "next.onnx", sha256: next });
    });
    clock.advance(9.9);
    await models.whenReady();
    assert.equal(found(models), before);
    clock.advance(0.2);
    assert.equal(found(models), before, "the running model answers while its successor is checked");
    await models.whenReady();
    assert.equal(found(models), next.slice(0, 8));
    assert.deepEqual(problems, []);
  });

  const FAULTS: readonly (readonly [string, RegExp, (dir: string, sha256: string) => Promise<unknown>])[] = [
    [
      "is cut short",
      /^model\/corrupt: .*the model before it stays$/,
      (dir) => writeFile(join(dir, "manifest.json"), "{"),
    ],
    ["is gone", /^model\/not_installed: .*the model before it stays$/, (dir) => rm(join(dir, "manifest.json"))],
    [
      "names a file that is not there",
      /^model\/not_installed: .*the model before it stays$/,
      (dir, sha256) =>
        installModels(dir, sha256, ({ models }) => Object.assign(models["LF-crypto"]!, { file: "gone.onnx" })),
    ],
    [
      "names a network that does not meet its golden pairs",
      /^model\/output: .*the model before it stays$/,
      async (dir, sha256) => {
        const wild = await hashOf(join(dir, "wild.onnx"));
        await installModels(dir, sha256, ({ models }) => {
          Object.assign(models["LF-crypto"]!, { file: "wild.onnx", sha256: wild });
        });
      },
    ],
    [
      "corrects another calibration",
      /^model\/other_calibration: .*the model before it stays$/,
      (dir) => installModels(dir, "4".repeat(64)),
    ],
  ];
  for (const [name, message, fault] of FAULTS) {
    it(`leaves the model where it is when it ${name}, says so once, and recovers`, async (test) => {
      const { models, dir, sha256, clock, problems } = await installed(test);
      await models.whenReady();
      const before = found(models);
      await fault(dir, sha256);
      for (let look = 0; look < 3; look++) {
        clock.advance(11);
        await models.whenReady();
      }
      assert.equal(found(models), before);
      assert.equal(problems.length, 1, problems.join("; "));
      assert.match(problems[0]!, message);
      const next = await successor(dir);
      await installModels(dir, sha256, (manifest) => {
        Object.assign(manifest.models["LF-crypto"]!, { file: "next.onnx", sha256: next });
      });
      clock.advance(11);
      await models.whenReady();
      assert.equal(found(models), next.slice(0, 8));
    });
  }

  it("finds a model whose file came after the manifest, five minutes later", async (test) => {
    const { models, dir, clock, problems } = await installed(test);
    await rename(join(dir, "tiny.onnx"), join(dir, "away"));
    await models.whenReady();
    assert.equal(found(models), "model/not_installed");
    await rename(join(dir, "away"), join(dir, "tiny.onnx"));
    clock.advance(290);
    await models.whenReady();
    assert.equal(found(models), "model/not_installed");
    clock.advance(20);
    await models.whenReady();
    assert.match(found(models), /^[0-9a-f]{8}$/);
    assert.equal(problems.length, 1);
  });

  it("takes a model away that it no longer lists", async (test) => {
    const { models, dir, sha256, clock } = await installed(test);
    await models.whenReady();
    await installModels(dir, sha256, (manifest) => (manifest.models = {}));
    clock.advance(11);
    await models.whenReady();
    assert.equal(found(models), "model/not_installed");
  });

  it("costs no check while it stays the same", async (test) => {
    let checks = 0;
    const check = () => {
      checks++;
      return Promise.resolve(null);
    };
    const { models, clock } = await installed(test, { openChecker: () => ({ check, close: () => undefined }) });
    for (let look = 0; look < 5; look++) {
      await models.whenReady();
      clock.advance(11);
    }
    assert.equal(checks, 1);
  });
});

describe("models: in worker threads", () => {
  it("answer with the bytes of this thread, each thread with its own session, and end without a trace", async (test) => {
    const { models, calibration } = await installed(test);
    const engines = enginesWith(models, calibration);
    await whenReady(engines);
    const { task } = planForecast(request, snapshot, engines);
    const pool = await createSimulationPool({ threads: 2, simulationTimeoutMs: 30_000 });
    try {
      const seeds = Array.from({ length: 8 }, (_, i) => `seed ${i}`);
      const tasks = seeds.map((seed) => ({ ...task, request: { ...request, seed } }));
      const results = await Promise.all(tasks.map((each) => pool.simulate(each)));
      for (const [i, result] of results.entries()) {
        assert.deepEqual([result.engine, result.handOvers], ["patchtst", []]);
        assert.equal(result.digest, (await runForecast(tasks[i]!)).digest);
      }
    } finally {
      await pool.close();
    }
  });

  it("are not needed: a process without onnxruntime hands over by name", async (test) => {
    const { models, calibration, dir } = await installed(test);
    const engines = enginesWith(models, calibration);
    await whenReady(engines);
    const { task } = planForecast(request, snapshot, engines);
    await writeFile(join(dir, "task.json"), JSON.stringify(task));
    const source = join(import.meta.dirname, "../../../src/engines/forecast.ts");
    const program = `
      import { readFileSync } from "node:fs";
      import { registerHooks } from "node:module";
      registerHooks({
        resolve(specifier, context, next) {
          if (specifier.startsWith("onnxruntime")) throw new Error("Cannot find package " + specifier);
          return next(specifier, context);
        },
      });
      const { runForecast } = await import(${JSON.stringify(source)});
      const { engine, handOvers } = await runForecast(JSON.parse(readFileSync(process.argv[1], "utf8")));
      console.log(JSON.stringify([engine, handOvers.map(({ code }) => code)]));`;
    const args = ["--input-type=module", "--eval", program, join(dir, "task.json")];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    assert.deepEqual(JSON.parse(stdout), ["ewma", ["model/runtime"]]);
  });
});

describe("recordings of the PatchTST engine", () => {
  /** An axon's recording whose answer the network gave. */
  async function recorded(test: TestContext) {
    const stateDir = await tempFolder(test);
    const shell = await installed(test);
    await writeFile(join(stateDir, "calibration.json"), await readFile(shell.calibrationFile));
    const server = await startRecordedAxon(stateDir);
    const day = { time_increment: 300, time_length: 86_400 };
    await (await post(server.url, signedPrompt(day))).arrayBuffer();
    await server.close();
    let recording: Recording | undefined;
    for await (const entry of readRecordings(join(stateDir, "recordings", axonKey.address))) {
      if (entry.kind === "recording") ({ recording } = entry);
    }
    assert.ok(recording);
    const engines = enginesWith(shell.models, shell.calibration);
    await whenReady(engines);
    const evidence = recording.exchange.evidence as SimulationEvidence;
    const asked = forecastRequest(evidence.task.request);
    const { task } = planForecast(asked, { ...snapshot, anchor: evidence.anchor }, engines);
    const result = await runForecast(task);
    assert.equal(result.engine, "patchtst");
    const { engine, engineVersion, digest, pathChecksums } = result;
    const answered = { engine, engineVersion, digest, pathChecksums: [...pathChecksums] };
    const withAnswer = (inputs: SimulationEvidence["task"]["inputs"]): Recording => ({
      ...recording,
      exchange: {
        ...recording.exchange,
        fieldDigests: { simulation_output: digest },
        evidence: { ...evidence, ...answered, task: { request: asked, inputs } },
      },
    });
    const replay = (from: Recording): Promise<ReplayReport> =>
      replayRecording(from, {
        identity: recording.identity,
        engines,
        limits: configFor(stateDir).axon,
        loadState: (asset) => new VolatilityStore(stateDir).load(asset),
      });
    return { recording: withAnswer([...task.inputs]), withAnswer, task, replay };
  }

  it("replay to the same bytes", async (test) => {
    const { recording, replay } = await recorded(test);
    const report = await replay(recording);
    assert.deepEqual([report.outcome, report.differences], ["identical", []]);
  });

  it("name the model when it is no longer the one that answered", async (test) => {
    const { withAnswer, task, replay } = await recorded(test);
    const input = task.inputs[0] as PatchTstInput;
    const other = { ...input, model: { ...input.model, sha256: "5".repeat(64) } };
    const report = await replay(withAnswer([other, ...task.inputs.slice(1)]));
    assert.equal(report.outcome, "different");
    const difference = report.differences.find(({ what }) => what === "simulation by patchtst");
    assert.match(difference?.replayed ?? "", /^model\/mismatch: .*expected the file with sha256 55555/);
  });
});
