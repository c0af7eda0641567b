import type { Engine, ForecastRequest } from "../engine.ts";
import {
  correctionOf,
  decodeFloats,
  encodeFloats,
  featureBasisOf,
  keptByState,
  type CorrectedInput,
  type CorrectionDeps,
} from "../models/correction.ts";
import type { ModelReference } from "../models/manifest.ts";
import type { PathModel } from "../path-model.ts";
import { simulatePathModel } from "../paths/simulate.ts";
import { recalibrate } from "../recalibration.ts";
import { calendarOf, SEQUENCE_BARS, SEQUENCE_CHANNELS, sequenceInput, stateFeatures } from "./features.ts";
import { checkOutputs, correctedModel, inferNetwork, type CorrectionGrid } from "./network.ts";

export const PATCHTST_VERSION = 3;

/** All that a PatchTST forecast depends on besides the request; the model is part of it by its hash. */
export interface PatchTstInput extends CorrectedInput {
  readonly engine: "patchtst";
  readonly model: ModelReference & CorrectionGrid;
  /** Base64 of little-endian 32-bit floats, see `StateFeatures`. */
  readonly sequence: string;
  readonly features: readonly number[];
  readonly calendar: readonly number[];
}

/**
 * A network (PatchTST, Nie et al., arXiv 2211.14730) that corrects the EWMA engine's log-sigmas, variance ratios and shape by
 * the newest bars. `prepare` gathers what it sees; it runs in `simulate`, in a worker. Hands over where the EWMA engine would
 * not answer from the calibration that the network corrects.
 */
export function createPatchTstEngine(deps: CorrectionDeps): Engine<PatchTstInput> {
  const correction = correctionOf("patchtst", deps);
  const featuresOf = keptByState((state, horizon) => stateFeatures(state, featureBasisOf(state, horizon, deps.ewma)));
  return {
    name: "patchtst",
    version: PATCHTST_VERSION,
    prepare: (request, snapshot) => {
      const found = correction(request, snapshot);
      if (!found.ok) return found;
      const { entry, reference, horizon } = found.model;
      const seen = featuresOf(found.state, horizon);
      if ("code" in seen) return { ok: false, handOver: { engine: "patchtst", ...seen } };
      const input: PatchTstInput = {
        engine: "patchtst",
        model: { ...reference, knotSeconds: entry.knotSeconds, ratioSeconds: entry.ratioSeconds },
        ...found.input,
        sequence: encodeFloats(seen.sequence),
        features: Array.from(seen.features),
        calendar: Array.from(calendarOf(request.startTime)),
      };
      return { ok: true, input };
    },
    simulate: simulatePatchTst,
  };
}

/** The path model that the input's network makes of its base. Throws OperationalError `model/…`, see `infer` and `checkOutputs`. */
export async function patchTstModel(request: ForecastRequest, input: PatchTstInput): Promise<PathModel> {
  const { model, base } = input;
  const outputs = await inferNetwork(model, {
    sequence: sequenceInput(decodeFloats(input.sequence, SEQUENCE_BARS * SEQUENCE_CHANNELS)),
    features: Float32Array.from(input.features),
    calendar: Float32Array.from(input.calendar),
  });
  checkOutputs(outputs, model);
  const { stepSeconds } = request;
  const corrected = correctedModel(base, outputs, { ...model, stepSeconds });
  return recalibrate(corrected, input.recalibration ?? [], stepSeconds);
}

export async function simulatePatchTst(request: ForecastRequest, input: PatchTstInput): Promise<Float64Array> {
  return simulatePathModel(request, await patchTstModel(request, input));
}
