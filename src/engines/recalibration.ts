import type { AssetSymbol } from "../market/assets.ts";
import type { HorizonClass } from "./horizon.ts";
import type { PathModel, VarianceRatio } from "./path-model.ts";
import { impliedLagOne, varianceRatioAt } from "./paths/variance-ratio.ts";

/** What a model's standard deviation of returns over `seconds` is multiplied by: learnt from past answers. */
export interface RecalibrationFactor {
  readonly seconds: number;
  readonly factor: number;
}

/** What live scores ask for now; `reason` where they ask for nothing. */
export interface Recalibration {
  /** Ascending lengths; empty where there is none that can be used. */
  readonly factors: readonly RecalibrationFactor[];
  /** Why there is none, for logs and recordings; null where there are factors. */
  readonly reason: string | null;
}

export interface RecalibrationSource {
  /** `calibration`: of the model that would answer; what was learnt of another is not for it. */
  lookUp: (asset: AssetSymbol, horizon: HorizonClass, calibration: string) => Recalibration;
}

/** Every engine learns from its own answers. */
export type Recalibrations = Readonly<Record<"ewma" | "patchtst" | "lgbm", RecalibrationSource>>;

/** The factors that an answer was given with; none where its engine knows none. */
export function appliedFactors(input: object): readonly RecalibrationFactor[] {
  const { recalibration } = input as { readonly recalibration?: readonly RecalibrationFactor[] };
  return recalibration ?? [];
}

/**
 * The factor at any length: its logarithm is linear in the logarithm of the length, and constant before the first and
 * after the last of the listed lengths (ascending). 1 where nothing is listed.
 */
export function factorAt(factors: readonly RecalibrationFactor[], seconds: number): number {
  const above = factors.findIndex((point) => point.seconds >= seconds);
  const right = factors[above] ?? factors.at(-1);
  if (right === undefined) return 1;
  const left = factors[above - 1];
  if (left === undefined || right.seconds === seconds) return right.factor;
  const share = Math.log(seconds / left.seconds) / Math.log(right.seconds / left.seconds);
  return Math.exp(Math.log(left.factor) + share * Math.log(right.factor / left.factor));
}

/**
 * Nested lengths (each divides the next) from the step on: those of the factors first, so that they get what is recorded,
 * then those of the model that still nest.
 */
function nestedLengths(
  lengths: { readonly factors: readonly number[]; readonly model: readonly number[] },
  stepSeconds: number,
): number[] {
  const nested = [stepSeconds];
  for (const seconds of [...lengths.factors, ...lengths.model]) {
    const place = nested.findIndex((length) => length >= seconds);
    const shorter = nested.at(place < 0 ? -1 : place - 1)!;
    const longer = place < 0 ? undefined : nested[place]!;
    if (place === 0 || longer === seconds || seconds % shorter !== 0) continue;
    if (longer === undefined) nested.push(seconds);
    else if (longer % seconds === 0) nested.splice(place, 0, seconds);
  }
  return nested.slice(1);
}

/**
 * Multiplies the model's standard deviations: each step's by the factor of the step's length (that of the shortest
 * listed length where the step is no longer than it), and the variance ratios so that returns over every listed length up
 * to the horizon have the square of its factor in all. A length that does not divide the next listed one can be met at two steps,
 * by the correlation of adjacent ones, and is left to interpolation elsewhere, as are those of the model's own that do not nest
 * with the listed ones. The same model where all factors are 1.
 */
export function recalibrate(model: PathModel, factors: readonly RecalibrationFactor[], stepSeconds: number): PathModel {
  const base = factorAt(factors, stepSeconds);
  const stepSigmas = base === 1 ? model.stepSigmas : model.stepSigmas.map((sigma) => sigma * base);
  if (factors.every(({ factor }) => factor === base)) return { ...model, stepSigmas };
  const { lagOneAutocorrelation: own, ...rest } = model;
  const horizonSeconds = model.stepSigmas.length * stepSeconds;
  const isWithin = ({ seconds }: { readonly seconds: number }): boolean => seconds <= horizonSeconds;
  const listed = factors.filter(isWithin).map(({ seconds }) => seconds);
  const nested = nestedLengths(
    {
      factors: listed.filter((seconds, i) => (listed[i + 1] ?? seconds) % seconds === 0),
      model: model.varianceRatios.filter(isWithin).map(({ seconds }) => seconds),
    },
    stepSeconds,
  );
  const twoSteps = 2 * stepSeconds;
  const changeAt = (seconds: number): number => (factorAt(factors, seconds) / base) ** 2;
  const varianceRatios = nested.map((seconds) => {
    const isOwn = seconds === twoSteps && own !== undefined;
    const ratio = isOwn ? 1 + own : varianceRatioAt(model.varianceRatios, seconds, stepSeconds);
    return { seconds, ratio: ratio * changeAt(seconds) };
  });
  const corrected = { ...rest, stepSigmas, varianceRatios };
  if (nested.includes(twoSteps) || (own === undefined && !listed.includes(twoSteps))) return corrected;
  const ratio = 1 + (own ?? lagOneWithout(model.varianceRatios, stepSeconds));
  const wanted = ratio * changeAt(twoSteps) - 1;
  return { ...corrected, lagOneAutocorrelation: Math.min(Math.max(wanted, -MAX_LAG_ONE), MAX_LAG_ONE) };
}

/** Of a model that names none: two steps may be a length of its own. */
function lagOneWithout(ratios: readonly VarianceRatio[], stepSeconds: number): number {
  const level = ratios.find(({ seconds }) => seconds === 2 * stepSeconds);
  return level ? level.ratio - 1 : impliedLagOne(ratios, stepSeconds);
}

/** No market's adjacent returns are further from uncorrelated; 1/2 is the most that MA(1) can have. */
const MAX_LAG_ONE = 0.45;
