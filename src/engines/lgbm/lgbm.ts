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
import { lgbmFeatures } from "./features.ts";
import { checkOutputs, correctedModel, inferTrees, type LeadGrid } from "./trees.ts";

export const LGBM_VERSION = 3;

/** All that an LGBM forecast depends on besides the request; the model is part of it by its hash. */
export interface LgbmInput extends CorrectedInput {
  readonly engine: "lgbm";
  /** Shrinkages as they were used: zeros where a part was switched off. */
  readonly model: ModelReference & LeadGrid & { readonly featureCount: number };
  /** Base64 of little-endian 32-bit floats, see `lgbmFeatures`; NaN: missing. */
  readonly features: string;
}

/** What people choose (config/default.json: engines.lgbm). */
export interface LgbmChoices {
  /** Whether paths are centred as the trees say, as far as that is proven, or driftless. */
  readonly centre: boolean;
  /** Whether the trees' correction of the scale is applied, as far as that is proven. */
  readonly residual: boolean;
}

/**
 * Boosted trees (LightGBM, Ke et al. 2017) that correct the EWMA engine by lead: a centre path shrunk by its validated R², and
 * a residual of ln sigma. `prepare` gathers their features; they run in `simulate`, in a worker. Hands over where the EWMA
 * engine would not answer from the calibration that they correct. Where nothing of them is proven, it answers the EWMA
 * engine's paths and says so (`lgbm/unproven`).
 */
export function createLgbmEngine(deps: CorrectionDeps & { readonly choices: LgbmChoices }): Engine<LgbmInput> {
  const correction = correctionOf("lgbm", deps);
  const basisOf = keptByState((state, horizon) => featureBasisOf(state, horizon, deps.ewma));
  return {
    name: "lgbm",
    version: LGBM_VERSION,
    prepare: (request, snapshot) => {
      const found = correction(request, snapshot);
      if (!found.ok) return found;
      const { entry, reference, horizon } = found.model;
      const { leadSeconds, centreShrinkage, residualShrinkage, featureNames } = entry;
      const basis = { ...basisOf(found.state, horizon), leadSeconds };
      const features = lgbmFeatures(found.state, basis, request.startTime);
      if ("code" in features) return { ok: false, handOver: { engine: "lgbm", ...features } };
      const whole: LgbmInput = {
        engine: "lgbm",
        model: { ...reference, leadSeconds, centreShrinkage, residualShrinkage, featureCount: featureNames.length },
        ...found.input,
        features: encodeFloats(features),
      };
      return { ok: true, input: withChoices(whole, deps.choices) };
    },
    simulate: simulateLgbm,
  };
}

/** Without the parts that are not chosen; says so where nothing is left. */
export function withChoices(input: LgbmInput, { centre, residual }: LgbmChoices): LgbmInput {
  const none = input.model.leadSeconds.map(() => 0);
  const model = {
    ...input.model,
    ...(centre ? {} : { centreShrinkage: none }),
    ...(residual ? {} : { residualShrinkage: none }),
  };
  if (isProven(model)) return { ...input, model };
  const message = `nothing of ${model.name} is proven and switched on: the EWMA engine's paths`;
  return { ...input, model, fallbacks: [...input.fallbacks, { code: "lgbm/unproven", message }] };
}

function isProven({ centreShrinkage, residualShrinkage }: LeadGrid): boolean {
  return [...centreShrinkage, ...residualShrinkage].some((share) => share > 0);
}

/** The path model that the input's trees make of its base. Throws OperationalError `model/…`, see `inferTrees` and `checkOutputs`. */
export async function lgbmModel({ stepSeconds }: ForecastRequest, input: LgbmInput): Promise<PathModel> {
  const { model, base, recalibration = [] } = input;
  if (!isProven(model)) return recalibrate(base, recalibration, stepSeconds);
  const outputs = await inferTrees(model, decodeFloats(input.features, model.featureCount));
  checkOutputs(outputs, model);
  return recalibrate(correctedModel(base, outputs, { ...model, stepSeconds }), recalibration, stepSeconds);
}

export async function simulateLgbm(request: ForecastRequest, input: LgbmInput): Promise<Float64Array> {
  return simulatePathModel(request, await lgbmModel(request, input));
}
