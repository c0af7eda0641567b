import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { readEwmaCalibration } from "../../../src/engines/ewma/calibration.ts";
import { MODELS_FILE } from "../../../src/engines/load.ts";
import { checkModel } from "../../../src/engines/models/check.ts";
import { readManifest } from "../../../src/engines/models/manifest.ts";
import { hashOf } from "../../support/patchtst-models.ts";

const ROOT = join(import.meta.dirname, "../../..");
const CALIBRATION = join(ROOT, "models/calibration/ewma.json");
const skip = existsSync(join(ROOT, MODELS_FILE)) ? false : `no ${MODELS_FILE}: nothing is shipped`;

describe("the shipped models", { skip }, () => {
  const models = skip === false ? Object.entries(readManifest(MODELS_FILE).models) : [];
  for (const [name, entry] of models) {
    it(`${name}: meets its golden pairs, on the shipped calibration`, async () => {
      assert.equal(entry.calibrationSha256, await hashOf(CALIBRATION));
      const horizon = readEwmaCalibration(CALIBRATION).horizons[entry.horizon]!;
      await checkModel({ name, entry, manifestFile: MODELS_FILE, horizon });
    });
  }
});
