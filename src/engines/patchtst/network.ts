import { OperationalError } from "../../errors.ts";
import { knotWeights } from "../ewma/scale.ts";
import type { PathModel } from "../path-model.ts";
import type { ModelReference } from "../models/manifest.ts";
import { infer } from "../models/session.ts";
import { CALENDAR_FEATURES, INPUT_CHANNELS, SEQUENCE_BARS } from "./features.ts";

/** One row of each, by its name in the graph. */
export const OUTPUT_NAMES = ["mu", "delta_log_sigma", "delta_log_ratio", "nu", "tau", "half_life_seconds"] as const;
export type ModelOutputs = Readonly<Record<(typeof OUTPUT_NAMES)[number], readonly number[]>>;

export interface NetworkInputs {
  /** Row-major [bar, channel], see `sequenceInput`. */
  readonly sequence: Float32Array;
  readonly features: Float32Array;
  readonly calendar: Float32Array;
}

/** The network's answer to one prompt. Throws OperationalError `model/…`, see `infer`. */
export function inferNetwork(
  model: ModelReference,
  { sequence, features, calendar }: NetworkInputs,
): Promise<ModelOutputs> {
  const inputs = {
    sequence: { values: sequence, shape: [1, SEQUENCE_BARS, INPUT_CHANNELS] },
    features: { values: features, shape: [1, features.length] },
    calendar: { values: calendar, shape: [1, CALENDAR_FEATURES] },
  };
  return infer(model, inputs, OUTPUT_NAMES);
}

/**
 * What the network is bounded to by its last layers, with room for rounding; an answer beyond them is that of a broken
 * model, not of a wild market.
 */
const LIMITS = {
  delta_log_sigma: [-0.701, 0.701],
  delta_log_ratio: [-0.501, 0.501],
  nu: [2.1, 1000],
  tau: [0, 1.5],
  half_life_seconds: [1, 7 * 86_400],
  // Paths have no drift: a network with one cannot be served.
  mu: [0, 0],
} as const satisfies Record<keyof ModelOutputs, readonly [number, number]>;

/**
 * Outputs are rounded to this, which is far below what matters to a score and far above the last bits in which processors
 * differ: a recording replays to the same bytes on another machine.
 */
const DIGITS = {
  delta_log_sigma: 4,
  delta_log_ratio: 4,
  nu: 2,
  tau: 3,
  half_life_seconds: 0,
  mu: 4,
} as const satisfies Record<keyof ModelOutputs, number>;

/** Where a model's corrections belong. */
export interface CorrectionGrid {
  readonly knotSeconds: readonly number[];
  readonly ratioSeconds: readonly number[];
}

/** Throws OperationalError `model/output` on anything but finite numbers inside the network's bounds. */
export function checkOutputs(outputs: ModelOutputs, { knotSeconds, ratioSeconds }: CorrectionGrid): void {
  const knots = knotSeconds.length;
  const lengths = { mu: knots, delta_log_sigma: knots, delta_log_ratio: ratioSeconds.length };
  for (const [name, [low, high]] of Object.entries(LIMITS)) {
    const values = outputs[name as keyof ModelOutputs];
    const length = name in lengths ? lengths[name as keyof typeof lengths] : 1;
    if (values.length !== length) {
      throw new OperationalError("model/output", `expected ${length} values of ${name}, were ${values.length}`);
    }
    const wrong = values.find((value) => !(value >= low && value <= high));
    if (wrong === undefined) continue;
    throw new OperationalError("model/output", `expected ${name} from ${low} to ${high}, was ${wrong}`);
  }
}

/** The path model with the network's corrections; `stepSeconds`: of the model's steps. */
export function correctedModel(
  base: PathModel,
  outputs: ModelOutputs,
  { knotSeconds, ratioSeconds, stepSeconds }: CorrectionGrid & { readonly stepSeconds: number },
): PathModel {
  const rounded = (name: keyof ModelOutputs): number[] =>
    outputs[name].map((value) => Math.round(value * 10 ** DIGITS[name]) / 10 ** DIGITS[name]);
  const deltas = rounded("delta_log_sigma");
  const ratios = rounded("delta_log_ratio");
  return {
    ...base,
    stepSigmas: base.stepSigmas.map((sigma, step) => {
      const weights = knotWeights(knotSeconds, step * stepSeconds);
      return sigma * Math.exp(deltas.reduce((sum, delta, knot) => sum + weights[knot]! * delta, 0));
    }),
    nu: rounded("nu")[0]!,
    latent: { tau: rounded("tau")[0]!, halfLifeSeconds: rounded("half_life_seconds")[0]! },
    varianceRatios: base.varianceRatios.map(({ seconds, ratio }) => {
      const place = ratioSeconds.indexOf(seconds);
      return place < 0 ? { seconds, ratio } : { seconds, ratio: ratio * Math.exp(ratios[place]!) };
    }),
  };
}
