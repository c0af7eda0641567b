import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import {
  compare,
  FEATURE_TOLERANCE,
  goldenCases,
  goldenMarket,
  goldenProfile,
  goldenState,
  mismatch,
  OUTPUT_TOLERANCE,
  row,
  type ModelCheck,
} from "../models/golden.ts";
import type { ModelReference } from "../models/manifest.ts";
import { lgbmFeatureNames, lgbmFeatures } from "./features.ts";
import { checkOutputs, inferTrees, OUTPUT_NAMES } from "./trees.ts";

const goldenCase = z.object({
  ...goldenMarket,
  /** Null: missing. */
  features: z.array(z.number().nullable()),
  outputs: z.object({ centre: row, residual: row }),
});

/** Throws OperationalError `model/mismatch`, and those of `goldenCases`, `infer` and `checkOutputs`. */
export async function checkTrees(check: ModelCheck<"lgbm">, reference: ModelReference): Promise<void> {
  const { entry, horizon, name } = check;
  const { leadSeconds } = entry;
  const isFitting =
    entry.stepSeconds === horizon.stepSeconds &&
    isDeepStrictEqual(entry.featureNames, lgbmFeatureNames({ horizon, leadSeconds }));
  if (!isFitting) throw mismatch(`${name}: its step or features are not those of this build and calibration`);
  for (const { example, place } of goldenCases(check, goldenCase)) {
    const state = goldenState(example, horizon.stepSeconds);
    const weekly = goldenProfile(example);
    const basis = { horizon, weekly, offHoursMultiplier: example.offHoursMultiplier, leadSeconds };
    const features = lgbmFeatures(state, basis, example.startTime);
    if ("code" in features) throw mismatch(`${place}: ${features.message}`);
    const expected = example.features.map((value) => value ?? NaN);
    compare(features, expected, { tolerance: FEATURE_TOLERANCE, what: `${place}: features` });
    const outputs = await inferTrees(reference, features);
    checkOutputs(outputs, entry);
    for (const output of OUTPUT_NAMES) {
      compare(outputs[output], example.outputs[output], { tolerance: OUTPUT_TOLERANCE, what: `${place}: ${output}` });
    }
  }
}
