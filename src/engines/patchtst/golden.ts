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
import { calendarOf, sequenceInput, stateFeatures } from "./features.ts";
import { checkOutputs, inferNetwork, OUTPUT_NAMES } from "./network.ts";

/** All of it, or its ends and sums. */
const flattened = z.union([
  row,
  z.strictObject({ first: row.min(1), last: row.min(1), sum: z.number(), sumOfSquares: z.number() }),
]);

const goldenCase = z.object({
  ...goldenMarket,
  features: row,
  calendar: row,
  /** As the network takes it, row-major [bar, channel]. */
  sequence: flattened,
  outputs: z.object({
    mu: row,
    delta_log_sigma: row,
    delta_log_ratio: row,
    nu: row,
    tau: row,
    half_life_seconds: row,
  }),
});

type GoldenCase = z.infer<typeof goldenCase>;

/** Throws OperationalError `model/mismatch`, and those of `goldenCases`, `infer` and `checkOutputs`. */
export async function checkNetwork(check: ModelCheck<"patchtst">, reference: ModelReference): Promise<void> {
  const { entry, horizon, name } = check;
  const isFitting =
    entry.stepSeconds === horizon.stepSeconds &&
    isDeepStrictEqual(entry.featureHalfLifeSeconds, horizon.halfLifeSeconds);
  if (!isFitting) throw mismatch(`${name}: its step or half-lives are not those of the calibration`);
  for (const { example, place } of goldenCases(check, goldenCase))
    await checkCase(example, check, { reference, place });
}

async function checkCase(
  example: GoldenCase,
  { entry, horizon }: ModelCheck<"patchtst">,
  { reference, place }: { readonly reference: ModelReference; readonly place: string },
): Promise<void> {
  const state = goldenState(example, horizon.stepSeconds);
  const weekly = goldenProfile(example);
  const found = stateFeatures(state, { horizon, weekly, offHoursMultiplier: example.offHoursMultiplier });
  if ("code" in found) throw mismatch(`${place}: ${found.message}`);
  const inputs = {
    features: found.features,
    sequence: sequenceInput(found.sequence),
    calendar: calendarOf(example.startTime),
  };
  compare(inputs.features, example.features, { tolerance: FEATURE_TOLERANCE, what: `${place}: features` });
  compare(inputs.calendar, example.calendar, { tolerance: FEATURE_TOLERANCE, what: `${place}: calendar` });
  compareFlattened(inputs.sequence, example.sequence, `${place}: sequence`);
  const outputs = await inferNetwork(reference, inputs);
  checkOutputs(outputs, entry);
  for (const name of OUTPUT_NAMES) {
    compare(outputs[name], example.outputs[name], { tolerance: OUTPUT_TOLERANCE, what: `${place}: ${name}` });
  }
}

function compareFlattened(found: Float32Array, expected: GoldenCase["sequence"], what: string): void {
  const tolerance = FEATURE_TOLERANCE;
  if (Array.isArray(expected)) {
    compare(found, expected, { tolerance, what });
    return;
  }
  const { first, last, sum, sumOfSquares } = expected;
  compare(found.subarray(0, first.length), first, { tolerance, what: `${what}, first values` });
  compare(found.subarray(-last.length), last, { tolerance, what: `${what}, last values` });
  const sums = [
    found.reduce((total, value) => total + value, 0),
    found.reduce((total, value) => total + value ** 2, 0),
  ];
  compare(sums, [sum, sumOfSquares], { tolerance, what: `${what}, sum and sum of squares` });
}
