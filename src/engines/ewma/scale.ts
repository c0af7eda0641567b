import { ASSETS, type AssetSymbol } from "../../market/assets.ts";
import { usSessionShare, weekSessionShares } from "../../market/session.ts";
import { SECONDS_PER_HOUR } from "../../units.ts";
import { barReturns, multiScaleLevels, stillBars, withoutBars, zeroShare } from "../../volatility/features.ts";
import { weekBin } from "../../volatility/seasonality.ts";
import type { VolatilityState } from "../../volatility/state.ts";
import {
  seasonalFactor,
  weeklyProfile,
  type ProfilePrior,
  type WeeklyProfile,
} from "../../volatility/weekly-profile.ts";
import type { ForecastRequest } from "../engine.ts";
import type { VarianceRatio } from "../path-model.ts";
import { varianceRatioAt } from "../paths/variance-ratio.ts";
import type { AssetCalibration, HorizonCalibration } from "./calibration.ts";

/** What the features of one base bar length are made of. */
export type ScaleBasis = Pick<HorizonCalibration, "stepSeconds" | "halfLifeSeconds" | "knotSeconds" | "seasonal">;

/** Fewer bars than half a day of five minutes (or two hours of one) know one mood of the market only. */
const MIN_BARS = 120;
/** Bars with about the prompt's own weekly factors that tell how often a close is unchanged. */
const ZERO_BARS = { least: 100, most: 288 };
/** … of at least this part of the prompt's median: what a weekend is silent about says nothing of a Monday. */
const SIMILAR_FACTOR = 0.5;
/** Factors that the median is taken over. */
const SAMPLED_FACTORS = 24;
/** Fewer unchanged closes than this are rounding of the price, not an absence of trade. */
const MIN_ZERO_SHARE = 0.03;
const MAX_ZERO_SHARE = 0.9;
/** A level further than this factor (e^2.5 = 12) from the slowest one is a broken feed or beyond what was fitted. */
const MAX_FEATURE_SPREAD = 2.5;

/** What a state says about an asset's volatility, in the terms of a calibration. */
export interface Knowledge {
  readonly profile: WeeklyProfile;
  /** x_k = ln(level / reference), by half-life. */
  readonly features: readonly number[];
  /** Share of base bars without any change of price, when those of the request trade as much as they usually do. */
  readonly zeroShareFor: (request: ForecastRequest) => number;
  /** The newest closes have been one and the same for an hour or more. */
  readonly isFrozen: boolean;
  /** Bars behind the features. */
  readonly bars: number;
  /** Whether a level was too far from the slowest one and was cut. */
  readonly isClamped: boolean;
}

const FLAT: WeeklyProfile = { week: new Float64Array(2016).fill(1), minute: new Float64Array(60).fill(1) };

/** The profile of a state, with what is known before its first week. */
export function profileOf(
  state: VolatilityState,
  prior: ProfilePrior | null,
  offHoursMultiplier: number,
): WeeklyProfile {
  const sessions = offHoursMultiplier === 1 ? null : { share: weekSessionShares(), offHoursMultiplier };
  return weeklyProfile(state.seasonality, prior, sessions);
}

/** The features of a state, or why it has none. */
export function knowledgeOf(
  state: VolatilityState,
  basis: ScaleBasis,
  { weekly, offHoursMultiplier }: { readonly weekly: WeeklyProfile; readonly offHoursMultiplier: number },
): Knowledge | { readonly code: string; readonly message: string } {
  const { stepSeconds } = basis;
  const profile = basis.seasonal ? weekly : FLAT;
  const all = barReturns(state, stepSeconds);
  const still = stillBars(all, stepSeconds);
  const returns = withoutBars(all, still);
  if (returns.logReturn.length < MIN_BARS) {
    const message = `expected ${MIN_BARS} returns over ${stepSeconds} s, were ${returns.logReturn.length} that move`;
    const isStill = all.logReturn.length >= MIN_BARS;
    return { code: isStill ? "feed/frozen" : "calibration/too_short", message };
  }
  const factorAt = (time: number): number => weeklyFactor(profile, time, { stepSeconds, offHoursMultiplier });
  const levels = multiScaleLevels(returns, factorAt, basis);
  const slowest = levels.at(-1)!;
  if (!(slowest > 0))
    return { code: "calibration/degenerate", message: "no return of the last week is other than zero" };
  const reference = Math.log(slowest / referenceSigma(state.asset, stepSeconds));
  const spreads = Array.from(levels, (level) => Math.log(Math.max(level, Number.MIN_VALUE) / slowest));
  const isClamped = spreads.some((spread) => Math.abs(spread) > MAX_FEATURE_SPREAD);
  return {
    profile,
    features: spreads.map((spread) => reference + Math.min(Math.max(spread, -MAX_FEATURE_SPREAD), MAX_FEATURE_SPREAD)),
    zeroShareFor: (request) => {
      const least = SIMILAR_FACTOR * medianFactor(request, factorAt);
      const zeros = zeroShare(returns, (time) => factorAt(time) >= least, ZERO_BARS) ?? 0;
      return zeros < MIN_ZERO_SHARE ? 0 : Math.min(zeros, MAX_ZERO_SHARE);
    },
    isFrozen: still.at(-1) === 1,
    bars: returns.logReturn.length,
    isClamped,
  };
}

function medianFactor({ startTime, horizonSeconds }: ForecastRequest, factorAt: (time: number) => number): number {
  const factors = Array.from({ length: SAMPLED_FACTORS }, (_, i) =>
    factorAt(startTime + (i * horizonSeconds) / SAMPLED_FACTORS),
  );
  return factors.sort((a, b) => a - b)[SAMPLED_FACTORS / 2]!;
}

/** The reference miner's sigma of a bar: what features and intercepts are relative to. */
export function referenceSigma(asset: AssetSymbol, stepSeconds: number): number {
  return ASSETS[asset].referenceSigmaPerHour * Math.sqrt(stepSeconds / SECONDS_PER_HOUR);
}

/** Weekly factor of the base bar that opens at `time`; session hours of a holiday or after an early close are off hours. */
export function weeklyFactor(
  profile: WeeklyProfile,
  time: number,
  { stepSeconds, offHoursMultiplier }: { readonly stepSeconds: number; readonly offHoursMultiplier: number },
): number {
  const factor = seasonalFactor(profile, time, stepSeconds);
  if (offHoursMultiplier === 1) return factor;
  // A bar across the bell, of a prompt that starts between two bars, is not a closed one.
  const isClosed = weekSessionShares()[weekBin(time)]! > 0 && usSessionShare(time, time + stepSeconds) === 0;
  return isClosed ? Math.min(factor, offHoursMultiplier) : factor;
}

/** Weights of the knots at a lead time: piecewise linear, constant beyond the last. */
export function knotWeights(knotSeconds: readonly number[], lead: number): number[] {
  const weights = knotSeconds.map(() => 0);
  const last = knotSeconds.length - 1;
  const right = knotSeconds.findIndex((knot) => knot >= lead);
  if (right === 0) weights[0] = 1;
  else if (right < 0) weights[last] = 1;
  else {
    const left = knotSeconds[right - 1]!;
    const share = (lead - left) / (knotSeconds[right]! - left);
    weights[right - 1] = 1 - share;
    weights[right] = share;
  }
  return weights;
}

/** ln(sigma / reference) at each knot, before the weekly rhythm. */
function knotLevels(features: readonly number[], { intercepts, betas }: AssetCalibration): number[] {
  return intercepts.map((intercept, knot) =>
    features.reduce((sum, feature, k) => sum + betas[k]![knot]! * feature, intercept),
  );
}

/**
 * Standard deviations of the request's steps. A step of several base bars adds up their variances; one of a part of a bar
 * takes its share. `factorAt(from, to)`: further multipliers, such as scheduled events.
 */
export function stepSigmas(
  request: ForecastRequest,
  knowledge: Knowledge,
  options: {
    readonly basis: ScaleBasis;
    readonly scale: AssetCalibration;
    readonly offHoursMultiplier: number;
    readonly factorAt: (from: number, to: number) => number;
  },
): number[] {
  const { basis, scale, factorAt } = options;
  const { stepSeconds, startTime, asset } = request;
  const levels = knotLevels(knowledge.features, scale);
  const reference = referenceSigma(asset, basis.stepSeconds);
  const parts = Math.max(1, Math.round(stepSeconds / basis.stepSeconds));
  const length = stepSeconds / parts;
  const share = length / basis.stepSeconds;
  return Array.from({ length: request.horizonSeconds / stepSeconds }, (_, step) => {
    let variance = 0;
    for (let part = 0; part < parts; part++) {
      const lead = step * stepSeconds + part * length;
      const at = startTime + lead;
      const weights = knotWeights(basis.knotSeconds, lead);
      const level = levels.reduce((sum, value, knot) => sum + weights[knot]! * value, 0);
      const weekly = weeklyFactor(knowledge.profile, at, { ...options, stepSeconds: basis.stepSeconds });
      const sigma = reference * Math.exp(level) * weekly * factorAt(at, at + length);
      variance += sigma * sigma * share;
    }
    return Math.sqrt(variance);
  });
}

/**
 * The calibration's variance ratios for a grid: of its own step over that of the base bar, and over the step at nested
 * multiples of it.
 */
export function ratiosFor(
  ratios: readonly VarianceRatio[],
  grid: { readonly stepSeconds: number; readonly baseSeconds: number },
): { readonly ofStep: number; readonly beyond: readonly VarianceRatio[] } {
  const { stepSeconds, baseSeconds } = grid;
  const ofStep = varianceRatioAt(ratios, stepSeconds, baseSeconds);
  const beyond: VarianceRatio[] = [];
  for (const { seconds, ratio } of ratios) {
    const shorter = beyond.at(-1)?.seconds ?? stepSeconds;
    if (seconds > shorter && seconds % shorter === 0) beyond.push({ seconds, ratio: ratio / ofStep });
  }
  return { ofStep, beyond };
}
