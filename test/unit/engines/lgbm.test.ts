import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { pack, unpack } from "msgpackr";
import type { ForecastRequest, StateSnapshot } from "../../../src/engines/engine.ts";
import { createEwmaEngine } from "../../../src/engines/ewma/ewma.ts";
import { runForecast } from "../../../src/engines/forecast.ts";
import {
  createLgbmEngine,
  lgbmModel,
  type LgbmChoices,
  type LgbmInput,
  LGBM_VERSION,
} from "../../../src/engines/lgbm/lgbm.ts";
import { checkModel } from "../../../src/engines/models/check.ts";
import { encodeFloats } from "../../../src/engines/models/correction.ts";
import { readManifest, sha256Of, type EntryOf } from "../../../src/engines/models/manifest.ts";
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
import { installTrees, TREE_FIXTURES } from "../../support/lgbm-models.ts";
import type { ManifestJson } from "../../support/patchtst-models.ts";
import { servedModel } from "../../support/served-model.ts";
import { tempFolder } from "../../support/temp-folder.ts";

const calibration = handMadeCalibration();
const horizon = calibration.horizons["24h"]!;
const SHIPPED = join(TREE_FIXTURES, "manifest.json");
const entry = readManifest(SHIPPED).models["LF-BTC"] as EntryOf<"lgbm">;
const ZEROS = [0, 0, 0, 0];
const BOTH: LgbmChoices = { centre: true, residual: true };

function hasCode(code: string): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof OperationalError, String(error));
    assert.equal(error.code, code, error.message);
    return true;
  };
}

const state = volatilityState({ minutes: 2000, swing: 7e-4 });

interface Options {
  readonly request?: ForecastRequest;
  readonly snapshot?: StateSnapshot;
  readonly file?: string;
  readonly sha256?: string;
  readonly change?: Partial<EntryOf<"lgbm">>;
  readonly choices?: LgbmChoices;
  readonly recalibration?: RecalibrationSource;
  readonly isCalibrated?: boolean;
}

function prepared(options: Options = {}) {
  const {
    request = forecastRequest(),
    snapshot = freshSnapshot(state),
    file = "trees.onnx",
    isCalibrated = true,
  } = options;
  const reference = { name: "LF-BTC", sha256: options.sha256 ?? entry.sha256, file: join(TREE_FIXTURES, file) };
  const engine = createLgbmEngine({
    models: servedModel({ reference, entry: { ...entry, ...options.change }, horizon }),
    ewma: engineDeps({ calibration: isCalibrated ? calibration : null }),
    recalibration: options.recalibration ?? null,
    choices: options.choices ?? BOTH,
  });
  return engine.prepare(request, marketSnapshot(snapshot, request.asset));
}

function accepted(options: Options = {}): LgbmInput {
  const found = prepared(options);
  assert.ok(found.ok, found.ok ? "" : found.handOver.message);
  return found.input;
}

describe("LGBM: golden pairs of numpy and onnxruntime's Python", () => {
  const check = (manifestFile: string) => {
    const own = readManifest(manifestFile).models["LF-BTC"]!;
    return checkModel({ name: "LF-BTC", entry: own, manifestFile, horizon });
  };

  it("are met from raw candles to outputs, with and without missing values", async () => {
    const { cases } = JSON.parse(await readFile(join(TREE_FIXTURES, "golden.json"), "utf8")) as Golden;
    assert.deepEqual(
      cases.map(({ features }) => features.filter((value) => value === null).length),
      [0, 3],
    );
    await check(SHIPPED);
  });

  interface Golden {
    cases: { features: (number | null)[]; outputs: Record<string, number[]>; candles: Record<string, number[]> }[];
  }

  /** A manifest whose golden file was changed, and whose hash is right all the same. */
  async function changed(test: TestContext, change: (golden: Golden) => void): Promise<string> {
    const dir = await tempFolder(test);
    const golden = JSON.parse(await readFile(join(TREE_FIXTURES, "golden.json"), "utf8")) as Golden;
    change(golden);
    const text = JSON.stringify(golden);
    await installTrees(dir, entry.calibrationSha256, ({ models }) => {
      models["LF-BTC"]!.golden.sha256 = sha256Of(Buffer.from(text));
    });
    await writeFile(join(dir, "golden.json"), text);
    return join(dir, "manifest.json");
  }

  const DISTURBED: readonly (readonly [string, (golden: Golden) => unknown])[] = [
    ["a feature off by 5e-6", ({ cases }) => (cases[0]!.features[7]! += 5e-6)],
    ["a value where one is missing", ({ cases }) => (cases[1]!.features[11] = 0)],
    ["a missing value where there is one", ({ cases }) => (cases[0]!.features[11] = null)],
    ["an output off by 5e-5", ({ cases }) => (cases[0]!.outputs["centre"]![3]! += 5e-5)],
    ["an output too few", ({ cases }) => cases[1]!.outputs["residual"]!.pop()],
    ["another close", ({ cases }) => (cases[0]!.candles["close"]![600]! *= 1.001)],
  ];
  for (const [name, change] of DISTURBED) {
    it(`are not met with ${name}`, async (test) => {
      await assert.rejects(check(await changed(test, change)), hasCode("model/mismatch"));
    });
  }

  const BROKEN: readonly (readonly [string, string, (model: ManifestJson["models"][string]) => unknown])[] = [
    ["another hash of the model", "model/mismatch", (model) => (model["sha256"] = "1".repeat(64))],
    ["no model", "model/not_installed", (model) => Object.assign(model, { file: "gone.onnx", sha256: "2".repeat(64) })],
    ["features in another order", "model/mismatch", (model) => (model["featureNames"] as string[]).reverse()],
    ["an unknown kind", "model/corrupt", (model) => (model["kind"] = "oracle")],
    ["no kind", "model/corrupt", (model) => delete model["kind"]],
    ["two assets", "model/corrupt", (model) => (model["assets"] = ["BTC", "ETH"])],
    ["a shrinkage above one", "model/corrupt", (model) => (model["centreShrinkage"] = [0, 0, 0, 1.1])],
    ["a shrinkage too few", "model/corrupt", (model) => (model["residualShrinkage"] = [0, 0, 0])],
    ["leads between the steps", "model/corrupt", (model) => (model["leadSeconds"] = [300, 1800, 10_800, 86_399])],
    ["leads that fall", "model/corrupt", (model) => (model["leadSeconds"] = [300, 1800, 1800, 86_400])],
    ["a key of the other kind", "model/corrupt", (model) => (model["knotSeconds"] = [0, 1])],
  ];
  for (const [name, code, change] of BROKEN) {
    it(`are refused with ${name}`, async (test) => {
      const dir = await tempFolder(test);
      const path = await installTrees(dir, entry.calibrationSha256, ({ models }) => change(models["LF-BTC"]!));
      await assert.rejects(async () => check(path), hasCode(code));
    });
  }

  it("are refused with a file that is no model", async (test) => {
    const dir = await tempFolder(test);
    const garbage = Buffer.from("no ONNX");
    const path = await installTrees(dir, entry.calibrationSha256, ({ models }) => {
      Object.assign(models["LF-BTC"]!, { sha256: sha256Of(garbage) });
    });
    await writeFile(join(dir, "trees.onnx"), garbage);
    await assert.rejects(check(path), hasCode("model/corrupt"));
  });
});

describe("LGBM: prepare", () => {
  it("takes the EWMA engine's answer as its base, and what it saw", () => {
    const input = accepted();
    const plain = createEwmaEngine(engineDeps({ calibration })).prepare(
      forecastRequest(),
      marketSnapshot(freshSnapshot(state)),
    );
    assert.ok(plain.ok);
    assert.deepEqual(input.base, plain.input.model);
    assert.equal(Buffer.from(input.features, "base64").length, 4 * entry.featureNames.length);
    assert.deepEqual(input.fallbacks, []);
  });

  const HANDED_OVER: readonly (readonly [string, string, Options])[] = [
    ["no state", "state/missing", { snapshot: { status: "missing" } }],
    ["a corrupt state", "state/corrupt", { snapshot: { status: "corrupt", reason: "cut short" } }],
    ["a stale state", "state/stale", { snapshot: { status: "stale", state, ageSeconds: 1e6, identity: "a" } }],
    ["too short a state", "calibration/too_short", { snapshot: freshSnapshot(volatilityState({ minutes: 300 })) }],
    ["no calibration", "calibration/missing", { isCalibrated: false }],
    ["another step", "model/grid", { request: forecastRequest({ stepSeconds: 600 }) }],
    ["another horizon", "model/not_installed", { request: forecastRequest({ horizonSeconds: 3600, stepSeconds: 60 }) }],
    ["another asset", "model/not_installed", { request: forecastRequest({ asset: "ETH" }) }],
  ];
  for (const [name, code, options] of HANDED_OVER) {
    it(`hands over by name with ${name}`, () => {
      const found = prepared(options);
      assert.ok(!found.ok);
      assert.deepEqual([found.handOver.engine, found.handOver.code], ["lgbm", code]);
    });
  }
});

describe("LGBM: simulate", () => {
  const request = forecastRequest({ numSimulations: 60 });
  const digestOf = async (input: LgbmInput): Promise<string> => {
    const result = await runForecast({ request, inputs: [input, ewmaInput()] });
    assert.deepEqual([result.engine, result.engineVersion, result.handOvers], ["lgbm", LGBM_VERSION, []]);
    return result.digest;
  };
  const ewmaDigest = async (): Promise<string> => {
    const prepared = createEwmaEngine(engineDeps({ calibration })).prepare(
      request,
      marketSnapshot(freshSnapshot(state)),
    );
    assert.ok(prepared.ok);
    return (await runForecast({ request, inputs: [prepared.input] })).digest;
  };

  it("is a function of what was recorded, in a few kilobytes, missing values among it", async () => {
    const input = {
      ...accepted({ request }),
      features: encodeFloats(new Float32Array(entry.featureNames.length).fill(NaN)),
    };
    for (const own of [accepted({ request }), input]) {
      const digest = await digestOf(own);
      const packed = pack(own);
      assert.ok(packed.length < 6000, `${packed.length} bytes`);
      const parse = (inputs: unknown) => simulationEvidence.shape.task.shape.inputs.parse(inputs)[0] as LgbmInput;
      assert.equal(await digestOf(parse([unpack(packed)])), digest);
      assert.equal(await digestOf(parse(JSON.parse(JSON.stringify([own])))), digest);
    }
  });

  it("is the EWMA's to the byte, by name, where nothing is proven or everything is switched off", async () => {
    const unproven = { centreShrinkage: ZEROS, residualShrinkage: ZEROS };
    for (const options of [{ change: unproven }, { choices: { centre: false, residual: false } }]) {
      const input = accepted({ request, ...options });
      assert.deepEqual(
        input.fallbacks.map(({ code }) => code),
        ["lgbm/unproven"],
      );
      assert.equal(await digestOf(input), await ewmaDigest());
    }
    assert.notEqual(await digestOf(accepted({ request })), await ewmaDigest());
  });

  it("has a centre and a residual that are switched off one by one", async () => {
    const full = await lgbmModel(request, accepted({ request }));
    const flat = await lgbmModel(request, accepted({ request, choices: { centre: false, residual: true } }));
    const centred = await lgbmModel(request, accepted({ request, choices: { centre: true, residual: false } }));
    const { base } = accepted({ request });
    assert.ok(full.centre!.some((drift) => drift !== 0));
    assert.deepEqual({ ...full, centre: undefined }, { ...flat, centre: undefined });
    assert.equal(flat.centre, undefined);
    assert.notDeepEqual(flat.stepSigmas, base.stepSigmas);
    assert.deepEqual(centred, { ...base, centre: full.centre });
  });

  it("applies what live scores asked of this engine, after the trees", async () => {
    const factors = [{ seconds: 300, factor: 1.1 }];
    const [plain, scaled] = [
      accepted({ request }),
      accepted({ request, recalibration: { lookUp: () => ({ factors, reason: null }) } }),
    ];
    const [before, after] = [await lgbmModel(request, plain), await lgbmModel(request, scaled)];
    assert.deepEqual(
      after.stepSigmas,
      before.stepSigmas.map((sigma) => sigma * 1.1),
    );
    assert.deepEqual(after.centre, before.centre);
    const none = { lookUp: () => ({ factors: [], reason: "none yet" }) };
    assert.deepEqual(accepted({ request, recalibration: none }).fallbacks, [
      { code: "recalibration/none", message: "none yet" },
    ]);
  });

  const FAILING: readonly (readonly [string, string, (input: LgbmInput) => LgbmInput])[] = [
    [
      "the file is another one",
      "model/mismatch",
      (input) => ({ ...input, model: { ...input.model, sha256: "1".repeat(64) } }),
    ],
    [
      "the file is gone",
      "model/not_installed",
      (input) => ({ ...input, model: { ...input.model, sha256: "2".repeat(64), file: "/gone.onnx" } }),
    ],
    ["the features are cut short", "model/input", (input) => ({ ...input, features: input.features.slice(0, 40) })],
    [
      "the trees ask for fewer leads",
      "model/output",
      (input) => ({ ...input, model: { ...input.model, leadSeconds: [300, 1800] } }),
    ],
  ];
  for (const [name, code, change] of FAILING) {
    it(`hands over by name where ${name}`, async () => {
      const result = await runForecast({ request, inputs: [change(accepted({ request })), ewmaInput()] });
      assert.deepEqual(
        [result.engine, result.handOvers.map((one) => [one.engine, one.code])],
        ["ewma", [["lgbm", code]]],
      );
    });
  }

  it("hands over by name where the trees answer beyond all bounds", async () => {
    const sha256 = sha256Of(await readFile(join(TREE_FIXTURES, "wild.onnx")));
    const input = accepted({ request, file: "wild.onnx", sha256 });
    const result = await runForecast({ request, inputs: [input, ewmaInput()] });
    assert.deepEqual([result.engine, result.handOvers.map(({ code }) => code)], ["ewma", ["model/output"]]);
  });
});
