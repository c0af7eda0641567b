import { ownOrClass, priorOf, type EwmaCalibration, type HorizonCalibration } from "../../engines/ewma/calibration.ts";
import { profileOf } from "../../engines/ewma/scale.ts";
import { calendarOf, stateFeatures, type StateFeatures } from "../../engines/patchtst/features.ts";
import { USABLE_FALLBACKS } from "../../engines/models/correction.ts";
import { LEAD_SECONDS, lgbmFeatures } from "../../engines/lgbm/features.ts";
import { horizonClass } from "../../engines/horizon.ts";
import type { WeeklyProfile } from "../../volatility/weekly-profile.ts";
import type { Engines } from "../../engines/route.ts";
import type { Origin } from "../backtest/origin.ts";

/** The sigmas that a model corrects, of one origin. */
export interface BaseInput {
  /** ln sigma of each step as the EWMA engine answers (before live recalibration). */
  readonly baseLogSigma: Float32Array;
  /** Probability that a step's return is exactly zero. */
  readonly zeroShare: number;
}

/** … and what a network sees, before its own transforms. */
export interface TrainingInput extends StateFeatures, BaseInput {
  /** Sine and cosine of the start's place in the New York day, then in the New York week (from Monday). */
  readonly calendar: Float32Array;
}

/** … and what the boosters see, see `lgbmFeatures`. */
export interface LgbmInput extends BaseInput {
  readonly features: Float32Array;
}

export interface TrainingBasis {
  readonly engines: Engines;
  readonly calibration: EwmaCalibration;
  readonly horizon: HorizonCalibration;
  readonly offHoursMultiplier: number;
}

/** Null where the EWMA engine would not answer from its calibration. */
export function trainingInput(origin: Origin, basis: TrainingBasis): TrainingInput | null {
  const base = baseInput(origin, basis);
  if (base === null) return null;
  const features = stateFeatures(origin.state, { ...basis, weekly: weeklyOf(origin, basis) });
  return "code" in features ? null : { ...features, ...base, calendar: calendarOf(origin.request.startTime) };
}

/** Null where the EWMA engine would not answer from its calibration. */
export function lgbmInput(origin: Origin, basis: TrainingBasis): LgbmInput | null {
  const base = baseInput(origin, basis);
  if (base === null) return null;
  const { startTime, horizonSeconds } = origin.request;
  const leadSeconds = LEAD_SECONDS[horizonClass(horizonSeconds)];
  const features = lgbmFeatures(origin.state, { ...basis, weekly: weeklyOf(origin, basis), leadSeconds }, startTime);
  return "code" in features ? null : { ...base, features };
}

function baseInput({ request, snapshot }: Origin, { engines }: TrainingBasis): BaseInput | null {
  const prepared = engines.ewma.prepare(request, snapshot);
  if (!prepared.ok || prepared.input.engine !== "ewma") return null;
  const { model, fallbacks } = prepared.input;
  if (fallbacks.some(({ code }) => !USABLE_FALLBACKS.has(code))) return null;
  return { baseLogSigma: Float32Array.from(model.stepSigmas, Math.log), zeroShare: model.zeroShare };
}

function weeklyOf({ request, state }: Origin, { calibration, offHoursMultiplier }: TrainingBasis): WeeklyProfile {
  const prior = ownOrClass(calibration.profiles, request.asset);
  return profileOf(state, prior && priorOf(prior.value), offHoursMultiplier);
}
