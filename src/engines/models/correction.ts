import { OperationalError } from "../../errors.ts";
import type { VolatilityState } from "../../volatility/state.ts";
import type { ForecastRequest, HandOver, MarketSnapshot } from "../engine.ts";
import { ownOrClass, priorOf, type EwmaCalibration, type HorizonCalibration } from "../ewma/calibration.ts";
import { createEwmaEngine, type EwmaDeps, type EwmaFallback } from "../ewma/ewma.ts";
import { profileOf } from "../ewma/scale.ts";
import { horizonClass } from "../horizon.ts";
import type { FeatureBasis } from "../patchtst/features.ts";
import type { PathModel } from "../path-model.ts";
import type { RecalibrationFactor, RecalibrationSource } from "../recalibration.ts";
import type { ModelKind } from "./manifest.ts";
import type { ModelSource, ServedModel } from "./source.ts";

/** What an engine needs whose models correct the EWMA engine's answer. */
export interface CorrectionDeps {
  readonly models: ModelSource;
  /** As for the EWMA engine, whose answer is corrected. */
  readonly ewma: Omit<EwmaDeps, "recalibration">;
  /** Null: nothing is learnt from live scores (backtests). */
  readonly recalibration: RecalibrationSource | null;
}

/** The fields that the inputs of all such engines have. */
export interface CorrectedInput {
  /** What the EWMA engine answers before live recalibration: the model corrects it. */
  readonly base: PathModel;
  /** Of the base. */
  readonly calibration?: string | undefined;
  /** Factors on sigma by length of the return that live scores of this engine asked for; absent: none. */
  readonly recalibration?: readonly RecalibrationFactor[] | undefined;
  /** What stood in for something better, and why; empty when nothing had to. */
  readonly fallbacks: readonly EwmaFallback[];
}

/** Sigmas of the calibration all the same, if of one fitted on other assets. */
export const USABLE_FALLBACKS: ReadonlySet<string> = new Set([
  "profile/class",
  "noise/implied",
  "profile/live_only",
  "calibration/class",
  "events/missing",
  "events/ended",
]);

export type Corrected<Kind extends ModelKind> =
  | { readonly ok: false; readonly handOver: HandOver }
  | { readonly ok: true; readonly model: ServedModel<Kind>; readonly state: VolatilityState; readonly input: CorrectedInput };

/** Finds the model of a request and what it corrects, or hands over where the EWMA engine would not answer from its calibration. */
export function correctionOf<Kind extends ModelKind>(
  kind: Kind,
  { models, ewma, recalibration }: CorrectionDeps,
): (request: ForecastRequest, snapshot: MarketSnapshot) => Corrected<Kind> {
  const base = createEwmaEngine({ ...ewma, recalibration: null });
  const handOver = ({ code, message }: Omit<HandOver, "engine">): Corrected<Kind> => ({
    ok: false,
    handOver: { engine: kind, code, message },
  });
  return (request, snapshot) => {
    const { asset, stepSeconds } = request;
    const horizon = horizonClass(request.horizonSeconds);
    const model = models.find(kind, asset, horizon);
    if ("code" in model) return handOver(model);
    const { stepSeconds: trained } = model.entry;
    if (stepSeconds !== trained) {
      return handOver({ code: "model/grid", message: `trained for steps of ${trained} s, not ${stepSeconds}` });
    }
    const prepared = base.prepare(request, snapshot);
    if (!prepared.ok) return handOver(prepared.handOver);
    const { model: baseModel, calibration = "plain", fallbacks } = prepared.input;
    const unusable = fallbacks.find(({ code }) => !USABLE_FALLBACKS.has(code));
    if (unusable) return handOver(unusable);
    // The base was prepared, so the state is there.
    const { state } = snapshot.volatility as { readonly state: VolatilityState };
    const input: CorrectedInput = { base: baseModel, calibration, fallbacks };
    if (recalibration === null) return { ok: true, model, state, input };
    const { factors, reason } = recalibration.lookUp(asset, horizon, calibration);
    const none = reason === null ? [] : [{ code: "recalibration/none", message: reason }];
    return { ok: true, model, state, input: { ...input, recalibration: factors, fallbacks: [...fallbacks, ...none] } };
  };
}

/** What a state is looked at with for a model's features. */
export function featureBasisOf(
  state: VolatilityState,
  horizon: HorizonCalibration,
  { calibration, choices }: CorrectionDeps["ewma"],
): FeatureBasis {
  const { offHoursMultiplier } = choices[state.asset];
  const prior = ownOrClass((calibration as EwmaCalibration).profiles, state.asset);
  return { horizon, weekly: profileOf(state, prior && priorOf(prior.value), offHoursMultiplier), offHoursMultiplier };
}

/** Keeps what was worked out of a state until the next one, for each horizon: several prompts are asked of each. */
export function keptByState<T>(
  work: (state: VolatilityState, horizon: HorizonCalibration) => T,
): (state: VolatilityState, horizon: HorizonCalibration) => T {
  const seen = new WeakMap<VolatilityState, Map<HorizonCalibration, T>>();
  return (state, horizon) => {
    const known = seen.get(state) ?? new Map<HorizonCalibration, T>();
    seen.set(state, known);
    const found = known.get(horizon) ?? work(state, horizon);
    known.set(horizon, found);
    return found;
  };
}

/** Base64 of little-endian 32-bit floats: NaN survives JSON that way. */
export function encodeFloats({ buffer, byteOffset, byteLength }: Float32Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString("base64");
}

/** Throws OperationalError `model/input` where there are not as many. */
export function decodeFloats(text: string, count: number): Float32Array {
  const bytes = Buffer.from(text, "base64");
  if (bytes.length === count * Float32Array.BYTES_PER_ELEMENT) return new Float32Array(new Uint8Array(bytes).buffer);
  throw new OperationalError("model/input", `expected ${count} floats of 32 bits, were ${bytes.length} bytes`);
}
