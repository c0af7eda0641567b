import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import fc from "fast-check";
import { pack, unpack } from "msgpackr";
import type { ForecastRequest, StateSnapshot } from "../../../src/engines/engine.ts";
import { createEwmaEngine } from "../../../src/engines/ewma/ewma.ts";
import { runForecast } from "../../../src/engines/forecast.ts";
import { checkModel } from "../../../src/engines/models/check.ts";
import { readManifest, sha256Of } from "../../../src/engines/models/manifest.ts";
import type { ModelSource } from "../../../src/engines/models/source.ts";
import { checkOutputs, correctedModel, type ModelOutputs } from "../../../src/engines/patchtst/network.ts";
import {
  createPatchTstEngine,
  patchTstModel,
  type PatchTstInput,
  PATCHTST_VERSION,
} from "../../../src/engines/patchtst/patchtst.ts";
import type { RecalibrationSource } from "../../../src/engines/recalibration.ts";
import { OperationalError } from "../../../src/errors.ts";
import { simulationEvidence } from "../../../src/subnets/synth/evidence.ts";
import { engineDeps, handMadeCalibration } from "../../support/ewma-calibration.ts";
import {
  ewmaInput,
  forecastRequest,
  freshSnapshot,
  marketSnapshot,
  volatilityState,
} from "../../support/forecast-inputs.ts";
import { FIXTURES, installModels, type ManifestJson } from "../../support/patchtst-models.ts";
import { servedModel } from "../../support/served-model.ts";
import { tempFolder } from "../../support/temp-folder.ts";

const calibration = handMadeCalibration();
const horizon = calibration.horizons["24h"]!;
const SHIPPED = join(FIXTURES, "manifest.json");
const entry = readManifest(SHIPPED).models["LF-crypto"]!;

function serving(file = "tiny.onnx", sha256 = entry.sha256): ModelSource {
  return servedModel({ reference: { name: "LF-crypto", sha256, file: join(FIXTURES, file) }, entry, horizon });
}

function hasCode(code: string): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof OperationalError, String(error));
    assert.equal(error.code, code, error.message);
    return true;
  };
}

const state = volatilityState({ minutes: 2000, swing: 7e-4 });

function prepared(
  options: {
    readonly request?: ForecastRequest;
    readonly snapshot?: StateSnapshot;
    readonly models?: ModelSource;
    readonly recalibration?: RecalibrationSource;
    readonly isCalibrated?: boolean;
  } = {},
) {
  const { request = forecastRequest(), snapshot = freshSnapshot(state), isCalibrated = true } = options;
  const engine = createPatchTstEngine({
    models: options.models ?? serving(),
    ewma: engineDeps({ calibration: isCalibrated ? calibration : null }),
    recalibration: options.recalibration ?? null,
  });
  return engine.prepare(request, marketSnapshot(snapshot, request.asset));
}

function accepted(options: Parameters<typeof prepared>[0] = {}): PatchTstInput {
  const found = prepared(options);
  assert.ok(found.ok, found.ok ? "" : found.handOver.message);
  return found.input;
}

describe("PatchTST: golden pairs of numpy and onnxruntime's Python", () => {
  const check = (manifestFile: string) => {
    const own = readManifest(manifestFile).models["LF-crypto"]!;
    return checkModel({ name: "LF-crypto", entry: own, manifestFile, horizon });
  };

  it("are met from raw candles to outputs", () => check(SHIPPED));

  interface Golden {
    cases: {
      features: number[];
      calendar: number[];
      sequence: number[] | { sum: number; last: number[] };
      candles: Record<string, number[]>;
      outputs: Record<string, number[]>;
    }[];
  }

  /** A manifest whose golden file was changed, and whose hash is right all the same. */
  async function changed(test: TestContext, change: (golden: Golden) => void): Promise<string> {
    const dir = await tempFolder(test);
    const golden = JSON.parse(await goldenText()) as Golden;
    change(golden);
    const text = JSON.stringify(golden);
    await installModels(dir, entry.calibrationSha256, ({ models }) => {
      models["LF-crypto"]!.golden.sha256 = sha256Of(Buffer.from(text));
    });
    await writeFile(join(dir, "golden.json"), text);
    return join(dir, "manifest.json");
  }

  const DISTURBED: readonly (readonly [string, (golden: Golden) => void])[] = [
    ["a feature off by 5e-6", ({ cases }) => (cases[0]!.features[1]! += 5e-6)],
    ["a sine off by 5e-6", ({ cases }) => (cases[1]!.calendar[2]! -= 5e-6)],
    ["a bar off by 1e-5", ({ cases }) => ((cases[1]!.sequence as number[])[1530]! += 1e-5)],
    ["a last bar off by 1e-5", ({ cases }) => ((cases[0]!.sequence as { last: number[] }).last[90]! += 1e-5)],
    ["a sum off by .1", ({ cases }) => ((cases[0]!.sequence as { sum: number }).sum += 0.1)],
    ["an output off by 5e-5", ({ cases }) => (cases[0]!.outputs["delta_log_sigma"]![1]! += 5e-5)],
    ["a half-life off by one second", ({ cases }) => (cases[0]!.outputs["half_life_seconds"]![0]! += 1)],
    ["an output too few", ({ cases }) => cases[0]!.outputs["delta_log_sigma"]!.pop()],
    ["another close", ({ cases }) => (cases[0]!.candles["close"]![200]! *= 1.001)],
    ["a column cut short", ({ cases }) => cases[0]!.candles["low"]!.pop()],
  ];
  for (const [name, change] of DISTURBED) {
    it(`are not met with ${name}`, async (test) => {
      await assert.rejects(check(await changed(test, change)), hasCode("model/mismatch"));
    });
  }

  const BROKEN: readonly (readonly [string, string, (model: ManifestJson["models"][string]) => unknown])[] = [
    ["another hash of the model", "model/mismatch", (model) => (model["sha256"] = "1".repeat(64))],
    ["another hash of the golden file", "model/mismatch", (model) => (model.golden.sha256 = "1".repeat(64))],
    ["no model", "model/not_installed", (model) => Object.assign(model, { file: "gone.onnx", sha256: "2".repeat(64) })],
    ["no golden file", "model/not_installed", (model) => (model.golden.file = "gone.json")],
    ["other half-lives", "model/mismatch", (model) => (model["featureHalfLifeSeconds"] = [1800, 3600])],
    ["another number of knots", "model/output", (model) => (model["knotSeconds"] = [0, 1, 2])],
    ["a path out of the folder", "model/corrupt", (model) => (model["file"] = "../tiny.onnx")],
    ["an absolute path", "model/corrupt", (model) => (model["file"] = "/tiny.onnx")],
    ["a key too many", "model/corrupt", (model) => (model["extra"] = 1)],
    ["a sequence of another length", "model/corrupt", (model) => (model["sequenceLength"] = 256)],
    ["channels in another order", "model/corrupt", (model) => (model["channels"] = ["range", "return", "mask"])],
    ["no assets", "model/corrupt", (model) => (model["assets"] = [])],
  ];
  for (const [name, code, change] of BROKEN) {
    it(`are refused with ${name}`, async (test) => {
      const dir = await tempFolder(test);
      const path = await installModels(dir, entry.calibrationSha256, ({ models }) => change(models["LF-crypto"]!));
      await assert.rejects(async () => check(path), hasCode(code));
    });
  }

  it("are refused with a model that is no network", async (test) => {
    const dir = await tempFolder(test);
    const garbage = Buffer.from("no ONNX");
    const path = await installModels(dir, entry.calibrationSha256, ({ models }) => {
      Object.assign(models["LF-crypto"]!, { sha256: sha256Of(garbage) });
    });
    await writeFile(join(dir, "tiny.onnx"), garbage);
    await assert.rejects(check(path), hasCode("model/corrupt"));
  });
});

function goldenText(): Promise<string> {
  return readFile(join(FIXTURES, "golden.json"), "utf8");
}

const grid = { knotSeconds: [0, 43_200], ratioSeconds: [3600] };
const neutral: ModelOutputs = {
  mu: [0, 0],
  delta_log_sigma: [0, 0],
  delta_log_ratio: [0],
  nu: [5],
  tau: [0.35],
  half_life_seconds: [10_800],
};

describe("PatchTST: what the network's outputs do to a path model", () => {
  const { model: base } = ewmaInput({
    nu: 5,
    latent: { tau: 0.35, halfLifeSeconds: 10_800 },
    varianceRatios: [
      { seconds: 1800, ratio: 0.95 },
      { seconds: 3600, ratio: 0.9 },
    ],
  });
  const of = (changes: Partial<ModelOutputs>) =>
    correctedModel(base, { ...neutral, ...changes }, { ...grid, stepSeconds: 300 });

  it("is nothing where they are zero", () => {
    assert.deepEqual(of({}), base);
  });

  it("is exp(delta), linear in lead time between the knots and constant after the last", () => {
    const sigmas = of({ delta_log_sigma: [0.2, -0.4] }).stepSigmas;
    for (const step of [0, 1, 72, 143, 144, 287]) {
      const share = Math.min((step * 300) / 43_200, 1);
      const expected = 1e-3 * Math.exp(0.2 * (1 - share) - 0.4 * share);
      assert.ok(Math.abs(sigmas[step]! / expected - 1) < 1e-12, `step ${step}`);
    }
  });

  it("is a factor on the ratios of its lengths alone, and the shape in place of the base's", () => {
    const model = of({ delta_log_ratio: [0.1], nu: [7.251], tau: [0.2], half_life_seconds: [3600.4] });
    assert.deepEqual(model.varianceRatios, [
      { seconds: 1800, ratio: 0.95 },
      { seconds: 3600, ratio: 0.9 * Math.exp(0.1) },
    ]);
    assert.deepEqual([model.nu, model.latent], [7.25, { tau: 0.2, halfLifeSeconds: 3600 }]);
  });

  it("does not hang on the last bits, in which processors differ", () => {
    const bits = of({ delta_log_sigma: [0.123_412, 0.2], delta_log_ratio: [0.1], nu: [7.2512] });
    assert.deepEqual(of({ delta_log_sigma: [0.123_413, 0.200_001], delta_log_ratio: [0.100_002], nu: [7.2513] }), bits);
  });

  it("is refused unless every output is finite, within its bounds, and there", () => {
    const names = Object.keys(neutral) as (keyof ModelOutputs)[];
    const wrong = fc.oneof(fc.constantFrom(NaN, Infinity, -Infinity), fc.constantFrom(-1e6, 1e6));
    fc.assert(
      fc.property(fc.constantFrom(...names), fc.nat(), wrong, (name, at, value) => {
        const row = [...neutral[name]];
        row[at % row.length] = value;
        assert.throws(() => {
          checkOutputs({ ...neutral, [name]: row }, grid);
        }, hasCode("model/output"));
      }),
    );
    for (const name of names) {
      assert.throws(() => {
        checkOutputs({ ...neutral, [name]: [...neutral[name], 0] }, grid);
      }, hasCode("model/output"));
    }
    checkOutputs(neutral, grid);
  });

  it("is refused with a drift, which paths do not have", () => {
    assert.throws(() => {
      checkOutputs({ ...neutral, mu: [0.001, 0] }, grid);
    }, hasCode("model/output"));
  });
});

describe("PatchTST: prepare", () => {
  it("takes the EWMA engine's answer as its base, and what it saw", () => {
    const input = accepted();
    const ewma = createEwmaEngine(engineDeps({ calibration }));
    const plain = ewma.prepare(forecastRequest(), marketSnapshot(freshSnapshot(state)));
    assert.ok(plain.ok);
    assert.deepEqual(input.base, plain.input.model);
    assert.equal(Buffer.from(input.sequence, "base64").length, 512 * 2 * 4);
    assert.equal(input.features.length, 2);
    // The state alternates by its swing: every bar has the same size, and the level is the bars'.
    const sequence = new Float32Array(new Uint8Array(Buffer.from(input.sequence, "base64")).buffer);
    assert.ok(Math.abs(Math.abs(sequence.at(-2)!) - 1) < 1e-6, String(sequence.at(-2)));
    assert.ok(Number.isNaN(sequence[0]));
  });

  const HANDED_OVER: readonly (readonly [string, string, Parameters<typeof prepared>[0]])[] = [
    ["no state", "state/missing", { snapshot: { status: "missing" } }],
    ["a corrupt state", "state/corrupt", { snapshot: { status: "corrupt", reason: "cut short" } }],
    ["a stale state", "state/stale", { snapshot: { status: "stale", state, ageSeconds: 1e6, identity: "a" } }],
    ["too short a state", "calibration/too_short", { snapshot: freshSnapshot(volatilityState({ minutes: 300 })) }],
    ["no calibration", "calibration/missing", { isCalibrated: false }],
    ["another step", "model/grid", { request: forecastRequest({ stepSeconds: 600 }) }],
    ["another horizon", "model/not_installed", { request: forecastRequest({ horizonSeconds: 3600, stepSeconds: 60 }) }],
    ["another asset", "model/not_installed", { request: forecastRequest({ asset: "NVDAX" }) }],
  ];
  for (const [name, code, options] of HANDED_OVER) {
    it(`hands over by name with ${name}`, () => {
      const found = prepared(options);
      assert.ok(!found.ok);
      assert.deepEqual([found.handOver.engine, found.handOver.code], ["patchtst", code]);
    });
  }

  it("hands over where the plain EWMA stands in, whatever the reason", () => {
    const wild = freshSnapshot(volatilityState({ minutes: 2000, swing: 0.5 }));
    const found = prepared({ snapshot: wild });
    assert.ok(!found.ok);
    assert.equal(found.handOver.code, "sigma/clamped_high");
  });
});

describe("PatchTST: simulate", () => {
  const request = forecastRequest({ numSimulations: 20 });

  it("is a function of what was recorded, in a few kilobytes", async () => {
    const input = accepted({ request });
    const result = await runForecast({ request, inputs: [input, ewmaInput()] });
    assert.deepEqual([result.engine, result.engineVersion, result.handOvers], ["patchtst", PATCHTST_VERSION, []]);
    const packed = pack(input);
    assert.ok(packed.length < 12_000, `${packed.length} bytes`);
    const inputs = simulationEvidence.shape.task.shape.inputs.parse([unpack(packed)]);
    assert.equal((await runForecast({ request, inputs })).digest, result.digest);
    const json = simulationEvidence.shape.task.shape.inputs.parse(JSON.parse(JSON.stringify([input])));
    assert.equal((await runForecast({ request, inputs: json })).digest, result.digest);
    assert.notEqual((await runForecast({ request, inputs: [{ ...input, features: [0, 0] }] })).digest, result.digest);
  });

  it("is the EWMA's where the network asks for no change, and another one otherwise", async () => {
    const input = accepted({ request });
    const model = await patchTstModel(request, input);
    assert.notDeepEqual(model.stepSigmas, input.base.stepSigmas);
    const ratios = model.stepSigmas.map((sigma, i) => Math.log(sigma / input.base.stepSigmas[i]!));
    assert.ok(ratios.every((delta) => Math.abs(delta) <= 0.7));
  });

  it("applies what live scores asked of this engine, after the network", async () => {
    const factors = [{ seconds: 300, factor: 1.1 }];
    const recalibration = { lookUp: () => ({ factors, reason: null }) };
    const [plain, scaled] = [accepted({ request }), accepted({ request, recalibration })];
    assert.deepEqual(scaled.base, plain.base);
    const [before, after] = [await patchTstModel(request, plain), await patchTstModel(request, scaled)];
    assert.deepEqual(
      after.stepSigmas,
      before.stepSigmas.map((sigma) => sigma * 1.1),
    );
    const reason = { lookUp: () => ({ factors: [], reason: "none yet" }) };
    assert.deepEqual(accepted({ request, recalibration: reason }).fallbacks, [
      { code: "recalibration/none", message: "none yet" },
    ]);
  });

  const FAILING: readonly (readonly [string, string, Partial<PatchTstInput> | Partial<PatchTstInput["model"]>])[] = [
    ["the file is another one", "model/mismatch", { sha256: "1".repeat(64) }],
    ["the file is gone", "model/not_installed", { file: join(FIXTURES, "gone.onnx"), sha256: "2".repeat(64) }],
    ["the sequence is cut short", "model/input", { sequence: "AAAA" }],
    ["a feature is missing", "model/failed", { features: [0] }],
    ["a feature is no number", "model/output", { features: [NaN, 0] }],
  ];
  for (const [name, code, change] of FAILING) {
    it(`hands over by name where ${name}`, async () => {
      const input = accepted({ request });
      const isModel = "file" in change || "sha256" in change;
      const broken = { ...input, ...(isModel ? { model: { ...input.model, ...change } } : change) } as PatchTstInput;
      const result = await runForecast({ request, inputs: [broken, ewmaInput()] });
      assert.equal(result.engine, "ewma");
      assert.deepEqual(
        result.handOvers.map((handOver) => [handOver.engine, handOver.code]),
        [["patchtst", code]],
      );
    });
  }

  it("hands over by name where the network answers beyond its bounds", async () => {
    const sha256 = sha256Of(await readFile(join(FIXTURES, "wild.onnx")));
    const input = accepted({ request, models: serving("wild.onnx", sha256) });
    const result = await runForecast({ request, inputs: [input, ewmaInput()] });
    assert.deepEqual([result.engine, result.handOvers.map(({ code }) => code)], ["ewma", ["model/output"]]);
  });
});
