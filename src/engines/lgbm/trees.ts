import { OperationalError } from "../../errors.ts";
import { pchip } from "../../math/pchip.ts";
import type { ModelReference } from "../models/manifest.ts";
import { infer } from "../models/session.ts";
import type { PathModel } from "../path-model.ts";

/**
 * By lead: `centre`, the log return up to the lead over the base's standard deviation of it; `residual`, what to add to ln
 * sigma of the steps between the lead before and this one. Both before shrinkage.
 */
export const OUTPUT_NAMES = ["centre", "residual"] as const;
export type TreeOutputs = Readonly<Record<(typeof OUTPUT_NAMES)[number], readonly number[]>>;

/** Where the trees' corrections belong and how much of each is believed. */
export interface LeadGrid {
  /** Ascending multiples of the step. */
  readonly leadSeconds: readonly number[];
  /** By lead, 0 to 1. */
  readonly centreShrinkage: readonly number[];
  readonly residualShrinkage: readonly number[];
}

/** Far beyond what boosters shrunk towards zero say of a standardised return or ln sigma: a broken model. */
const MAX_OUTPUT = 5;
/** In standard deviations: no drift of a market that could be known beforehand is larger. */
const MAX_CENTRE = 0.3;
const MAX_RESIDUAL = 0.5;
/** As for PatchTST: below what matters to a score, above the last bits in which processors differ. */
const DIGITS = 4;

/** The boosters' answer to one prompt, from the features of `lgbmFeatures`. Throws OperationalError `model/…`, see `infer`. */
export function inferTrees(model: ModelReference, features: Float32Array): Promise<TreeOutputs> {
  return infer(model, { features: { values: features, shape: [1, features.length] } }, OUTPUT_NAMES);
}

/** Throws OperationalError `model/output` on anything but a finite number of plausible size for each lead. */
export function checkOutputs(outputs: TreeOutputs, { leadSeconds }: Pick<LeadGrid, "leadSeconds">): void {
  for (const name of OUTPUT_NAMES) {
    const values = outputs[name];
    if (values.length !== leadSeconds.length) {
      throw new OperationalError(
        "model/output",
        `expected ${leadSeconds.length} values of ${name}, were ${values.length}`,
      );
    }
    const wrong = values.find((value) => !(Math.abs(value) <= MAX_OUTPUT));
    if (wrong === undefined) continue;
    throw new OperationalError("model/output", `expected ${name} from -${MAX_OUTPUT} to ${MAX_OUTPUT}, was ${wrong}`);
  }
}

/** The path model with the trees' corrections: the base itself where none is left. */
export function correctedModel(
  base: PathModel,
  outputs: TreeOutputs,
  grid: LeadGrid & { readonly stepSeconds: number },
): PathModel {
  const rounded = (value: number): number => Math.round(value * 10 ** DIGITS) / 10 ** DIGITS;
  const bounded = (value: number, limit: number): number => Math.min(Math.max(value, -limit), limit);
  const centres = outputs.centre.map((value, lead) =>
    bounded(rounded(value) * grid.centreShrinkage[lead]!, MAX_CENTRE),
  );
  const residuals = outputs.residual.map(
    (value, lead) => bounded(rounded(value), MAX_RESIDUAL) * grid.residualShrinkage[lead]!,
  );
  const stepSigmas = residuals.every((residual) => residual === 0)
    ? base.stepSigmas
    : base.stepSigmas.map(
        (sigma, step) => sigma * Math.exp(residualAt(residuals, (step + 0.5) * grid.stepSeconds, grid)),
      );
  if (centres.every((centre) => centre === 0)) return { ...base, stepSigmas };
  return { ...base, stepSigmas, centre: centreSteps(base.stepSigmas, centres, grid) };
}

/**
 * Log drift of each step. With V the sum of the steps' variances so far, the centre at lead k is c_k · sqrt(V_k); in between it
 * is a monotone cubic of V through zero at the start (time in which the market moves evenly: a night gets as little of the
 * drift as of the variance), so without kinks at the leads; flat after the last lead. Leads beyond the horizon are left out.
 */
export function centreSteps(
  stepSigmas: readonly number[],
  centres: readonly number[],
  { leadSeconds, stepSeconds }: Pick<LeadGrid, "leadSeconds"> & { readonly stepSeconds: number },
): number[] {
  const elapsed = [0];
  for (const sigma of stepSigmas) elapsed.push(elapsed.at(-1)! + sigma * sigma);
  const x = [0];
  const y = [0];
  leadSeconds.forEach((lead, k) => {
    const variance = elapsed[lead / stepSeconds];
    // A stretch in which nothing moves has no drift.
    if (variance === undefined || !(variance > x.at(-1)!)) return;
    x.push(variance);
    y.push(centres[k]! * Math.sqrt(variance));
  });
  if (x.length === 1) return stepSigmas.map(() => 0);
  if (elapsed.at(-1)! > x.at(-1)!) {
    x.push(elapsed.at(-1)!);
    y.push(y.at(-1)!);
  }
  const centreAt = pchip(x, y);
  const path = elapsed.map(centreAt);
  return stepSigmas.map((_, step) => path[step + 1]! - path[step]!);
}

/**
 * The residual at a lead time: that of its stretch, with a smooth change (3u² - 2u³ in the logarithm of time) over the half octave
 * around each border, so that stretches keep what they were fitted with.
 */
export function residualAt(
  residuals: readonly number[],
  seconds: number,
  { leadSeconds }: Pick<LeadGrid, "leadSeconds">,
): number {
  return residuals.reduce((sum, residual, k) => {
    if (k === 0) return residual;
    const u = Math.min(Math.max(Math.log2(seconds / leadSeconds[k - 1]!) + 0.5, 0), 1);
    return sum + (residual - residuals[k - 1]!) * u * u * (3 - 2 * u);
  }, 0);
}
