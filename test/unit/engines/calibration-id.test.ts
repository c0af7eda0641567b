import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { calibrationId, readEwmaCalibration, type EwmaCalibration } from "../../../src/engines/ewma/calibration.ts";
import { createEwmaEngine } from "../../../src/engines/ewma/ewma.ts";
import { engineDeps, handMadeCalibration, writeCalibration } from "../../support/ewma-calibration.ts";
import { forecastRequest, freshSnapshot, marketSnapshot, volatilityState } from "../../support/forecast-inputs.ts";
import { tempFolder } from "../../support/temp-folder.ts";

describe("the id of a calibration", () => {
  it("is of what it says, not of how the file is written", async (t) => {
    const dir = await tempFolder(t);
    const read = readEwmaCalibration(await writeCalibration(dir));
    const id = calibrationId(read);
    assert.match(id, /^[0-9a-f]{16}$/);
    const reordered = Object.fromEntries(Object.entries(handMadeCalibration()).reverse());
    await writeFile(join(dir, "calibration.json"), JSON.stringify(reordered, null, 2));
    assert.equal(calibrationId(readEwmaCalibration(join(dir, "calibration.json"))), id);
    assert.notEqual(calibrationId({ ...read, seed: read.seed + 1 }), id);
  });

  it("is in the engine's input, and what its factors are asked for by; plain where the plain EWMA stands in", () => {
    const asked: string[] = [];
    const lookUp = (_asset: string, _horizon: string, calibration: string) => {
      asked.push(calibration);
      return { factors: [], reason: "none in this test" };
    };
    const inputs = (calibration: EwmaCalibration | null, minutes: number): unknown[] =>
      [{ lookUp }, null].map((recalibration) => {
        const engine = createEwmaEngine(engineDeps({ calibration, recalibration }));
        const state = volatilityState({ minutes, swing: 2e-4 });
        const prepared = engine.prepare(forecastRequest(), marketSnapshot(freshSnapshot(state)));
        return prepared.ok ? prepared.input.calibration : prepared.handOver;
      });
    const calibration = handMadeCalibration();
    const id = calibrationId(calibration);
    assert.deepEqual(inputs(calibration, 10_000), [id, id]);
    assert.deepEqual(inputs(calibration, 300), ["plain", "plain"]);
    assert.deepEqual(inputs(null, 10_000), ["plain", "plain"]);
    assert.deepEqual(asked, [id, "plain", "plain"]);
  });
});
