import { ASSETS, type AssetSymbol } from "../../market/assets.ts";
import type { ScheduledEvent } from "../../market/events.ts";
import { SECONDS_PER_DAY, SECONDS_PER_HOUR, SECONDS_PER_MINUTE } from "../../units.ts";
import { eventFactor, type EventKernels } from "../../volatility/event-kernel.ts";
import { newestCandle, type VolatilityState } from "../../volatility/state.ts";
import type { WeeklyProfile } from "../../volatility/weekly-profile.ts";
import type { Engine, ForecastRequest, HandOver, MarketSnapshot, Prepared } from "../engine.ts";
import { horizonClass } from "../horizon.ts";
import type { PathModel } from "../path-model.ts";
import { simulatePathModel } from "../paths/simulate.ts";
import { recalibrate, type RecalibrationFactor, type RecalibrationSource } from "../recalibration.ts";
import { calibrationId, ownOrClass, priorOf, type EwmaCalibration, type HorizonCalibration } from "./calibration.ts";
import { plainDispersion, type Dispersion, type EwmaChoices } from "./plain.ts";
import { knowledgeOf, profileOf, ratiosFor, stepSigmas, type Knowledge } from "./scale.ts";

export const EWMA_VERSION = 4;

/** All that an EWMA forecast depends on besides the request. */
export interface EwmaInput {
  readonly engine: "ewma";
  readonly model: PathModel;
  /** `calibrationId` of what the scale came from, "plain" where the plain EWMA stood in; absent: recorded before. */
  readonly calibration?: string | undefined;
  /** Factors on sigma by length of the return that live scores asked for (see recalibration.ts); absent: none. */
  readonly recalibration?: readonly RecalibrationFactor[] | undefined;
  /** What stood in for something better, and why; empty when nothing had to. */
  readonly fallbacks: readonly EwmaFallback[];
}

export interface EwmaFallback {
  readonly code: string;
  readonly message: string;
}

export interface EwmaDeps {
  readonly choices: Readonly<Record<AssetSymbol, EwmaChoices>>;
  /** Null: the plain EWMA answers, for the reason given. */
  readonly calibration: EwmaCalibration | null;
  readonly rankMatching: boolean;
  /** Null: nothing is learnt from live scores (backtests). */
  readonly recalibration: RecalibrationSource | null;
  /** Sorted by time. */
  readonly events: readonly ScheduledEvent[];
}

/** Beyond this factor from the reference sigma, a broken feed is likelier than the market. */
const MAX_SIGMA_RATIO = 20;

function handOver(code: string, message: string): { readonly ok: false; readonly handOver: HandOver } {
  return { ok: false, handOver: { engine: "ewma", code, message } };
}

/**
 * Driftless paths whose scale comes from several EWMAs of the absolute return, freed of the weekly rhythm and mapped to
 * the horizon by what `calibrate` fitted; without a calibration, or with too short a state for it, from the updater's
 * EWMA variance alone. Which of the two, and what else stood in, is recorded.
 */
export function createEwmaEngine(deps: EwmaDeps): Engine<EwmaInput> {
  const calibrated = createCalibratedScale(deps);
  return {
    name: "ewma",
    version: EWMA_VERSION,
    prepare: (request, snapshot) => prepare(request, snapshot, { deps, calibrated }),
    simulate: (request, input) => simulatePathModel(request, input.model),
  };
}

type CalibratedScale = (
  request: ForecastRequest,
  state: VolatilityState,
) =>
  | { readonly dispersion: Dispersion; readonly calibration: string; readonly fallbacks: readonly EwmaFallback[] }
  | EwmaFallback;

function prepare(
  request: ForecastRequest,
  { volatility, anchor }: MarketSnapshot,
  { deps, calibrated }: { readonly deps: EwmaDeps; readonly calibrated: CalibratedScale },
): Prepared<EwmaInput> {
  if (volatility.status === "missing")
    return handOver("state/missing", "no volatility state yet; is the updater running?");
  if (volatility.status === "corrupt") return handOver("state/corrupt", volatility.reason);
  if (volatility.status === "stale") {
    return handOver(
      "state/stale",
      `volatility state is ${Math.round(volatility.ageSeconds)} s old; is the updater running?`,
    );
  }
  const { state } = volatility;
  const best = calibrated(request, state);
  const fallbacks = "code" in best ? [best] : [...best.fallbacks];
  const dispersion = "code" in best ? plainDispersion(request, state, deps.choices[request.asset]) : best.dispersion;
  if ("code" in dispersion) return handOver(dispersion.code, dispersion.message);

  const bounded = bound(request, dispersion.stepSigmas);
  if ("code" in bounded) return handOver(bounded.code, bounded.message);
  if (bounded.clamped !== null) fallbacks.push(bounded.clamped);
  const model = {
    ...dispersion,
    stepSigmas: bounded.stepSigmas,
    anchorPrice: anchor.price,
    rankMatched: deps.rankMatching,
  };
  const calibration = "code" in best ? "plain" : best.calibration;
  if (deps.recalibration === null) return { ok: true, input: { engine: "ewma", model, calibration, fallbacks } };
  const horizon = horizonClass(request.horizonSeconds);
  const { factors, reason } = deps.recalibration.lookUp(request.asset, horizon, calibration);
  if (reason !== null) fallbacks.push({ code: "recalibration/none", message: reason });
  const corrected = recalibrate(model, factors, request.stepSeconds);
  return { ok: true, input: { engine: "ewma", model: corrected, calibration, recalibration: factors, fallbacks } };
}

/** Cuts a horizon that is wilder than any market was, and refuses one that is too calm to be true. */
function bound(
  { asset, horizonSeconds }: ForecastRequest,
  stepSigmas: readonly number[],
): { stepSigmas: readonly number[]; clamped: EwmaFallback | null } | EwmaFallback {
  const reference = ASSETS[asset].referenceSigmaPerHour;
  const variance = stepSigmas.reduce((sum, sigma) => sum + sigma * sigma, 0);
  const sigmaPerHour = Math.sqrt((variance * SECONDS_PER_HOUR) / horizonSeconds);
  if (!(sigmaPerHour >= reference / MAX_SIGMA_RATIO)) {
    const message = `expected a sigma above 1/${MAX_SIGMA_RATIO} of the reference, was ${sigmaPerHour} per hour (a frozen feed?)`;
    return { code: "state/degenerate", message };
  }
  const excess = sigmaPerHour / (reference * MAX_SIGMA_RATIO);
  if (excess <= 1) return { stepSigmas, clamped: null };
  const message = `sigma of ${sigmaPerHour} per hour cut to ${MAX_SIGMA_RATIO} times the reference`;
  return { stepSigmas: stepSigmas.map((sigma) => sigma / excess), clamped: { code: "sigma/clamped_high", message } };
}

function eventFactors(
  { asset, startTime }: ForecastRequest,
  state: VolatilityState,
  { kernels, events }: { readonly kernels: EventKernels | null; readonly events: readonly ScheduledEvent[] },
): (from: number, to: number) => number {
  if (kernels === null) return () => 1;
  const newest = newestCandle(state);
  const knownUntil = newest === null ? startTime : newest.openTime + SECONDS_PER_MINUTE;
  const effect = { kernels, assetClass: ASSETS[asset].assetClass, events, startTime, knownUntil };
  return (from, to) => eventFactor(effect, from, to);
}

/** What is odd about the candles behind a forecast. */
function doubtsOf({ isFrozen, bars, isClamped }: Knowledge, stepSeconds: number): EwmaFallback[] {
  const doubts: EwmaFallback[] = [];
  if (isFrozen) doubts.push({ code: "feed/frozen", message: "no new price for an hour or more: older levels" });
  if (bars * stepSeconds < SECONDS_PER_DAY) {
    doubts.push({ code: "level/short", message: `levels of up to seven days from ${bars} bars of ${stepSeconds} s` });
  }
  if (isClamped) doubts.push({ code: "level/clamped", message: "a level far from the weekly one was cut" });
  return doubts;
}

function isNoiseFitted({ assets }: HorizonCalibration): boolean {
  return Object.values(assets).some(({ lagOneAutocorrelation }) => lagOneAutocorrelation !== undefined);
}

/** Why scheduled events could not be looked at, or null. */
function eventsFallback(
  kernels: EventKernels | null,
  events: readonly ScheduledEvent[],
  startTime: number,
): EwmaFallback | null {
  if (kernels === null) return null;
  const last = events.at(-1);
  if (last === undefined) return { code: "events/missing", message: "no table of scheduled events" };
  if (last.time >= startTime) return null;
  return {
    code: "events/ended",
    message: `the table of scheduled events ended at ${new Date(last.time * 1000).toISOString()}`,
  };
}

/** Keeps what it worked out of a state until the next one: several prompts are asked of each. */
function createCalibratedScale({ choices, calibration, events }: EwmaDeps): CalibratedScale {
  const profiles = new WeakMap<VolatilityState, WeeklyProfile>();
  const known = { "1h": new WeakMap<VolatilityState, Known>(), "24h": new WeakMap<VolatilityState, Known>() };
  type Known = Knowledge | EwmaFallback;
  const id = calibration === null ? "plain" : calibrationId(calibration);

  const profileFor = (state: VolatilityState, prior: ReturnType<typeof priorFor>): WeeklyProfile => {
    const found =
      profiles.get(state) ?? profileOf(state, prior?.prior ?? null, choices[state.asset].offHoursMultiplier);
    profiles.set(state, found);
    return found;
  };
  const priorFor = (asset: AssetSymbol): { prior: ReturnType<typeof priorOf>; isOwn: boolean } | null => {
    const found = calibration && ownOrClass(calibration.profiles, asset);
    return found && { prior: priorOf(found.value), isOwn: found.isOwn };
  };

  return (request, state) => {
    if (calibration === null) return { code: "calibration/missing", message: "no calibration: plain EWMA" };
    const { asset } = request;
    const name = horizonClass(request.horizonSeconds);
    const horizon = calibration.horizons[name];
    const scale = horizon && ownOrClass(horizon, asset);
    if (!scale) return { code: "calibration/missing", message: `nothing fitted for ${asset} at ${name}: plain EWMA` };
    const prior = priorFor(asset);
    const { offHoursMultiplier } = choices[asset];
    const weekly = profileFor(state, prior);
    const knowledge = known[name].get(state) ?? knowledgeOf(state, horizon, { weekly, offHoursMultiplier });
    known[name].set(state, knowledge);
    if ("code" in knowledge) return knowledge;
    const fallbacks: EwmaFallback[] = [];
    const { assetClass } = ASSETS[asset];
    if (!scale.isOwn) fallbacks.push({ code: "calibration/class", message: `fitted on other assets: ${assetClass}` });
    if (horizon.seasonal && prior === null) {
      fallbacks.push({ code: "profile/live_only", message: "no weekly rhythm was learnt before live data" });
    } else if (horizon.seasonal && !prior?.isOwn) {
      fallbacks.push({ code: "profile/class", message: `weekly rhythm learnt from other assets: ${assetClass}` });
    }
    const isOnBars = request.stepSeconds === horizon.stepSeconds;
    const { lagOneAutocorrelation } = scale.value;
    if (isOnBars && lagOneAutocorrelation === undefined && isNoiseFitted(horizon)) {
      fallbacks.push({
        code: "noise/implied",
        message: "too little is known of adjacent bars: from the variance ratios",
      });
    }
    fallbacks.push(...doubtsOf(knowledge, horizon.stepSeconds));
    const ended = eventsFallback(calibration.events, events, request.startTime);
    if (ended !== null) fallbacks.push(ended);
    const ratios = ratiosFor(scale.value.varianceRatios, {
      stepSeconds: request.stepSeconds,
      baseSeconds: horizon.stepSeconds,
    });
    const sigmas = stepSigmas(request, knowledge, {
      basis: horizon,
      scale: scale.value,
      offHoursMultiplier,
      factorAt: eventFactors(request, state, { kernels: calibration.events, events }),
    });
    const dispersion: Dispersion = {
      stepSigmas: sigmas.map((sigma) => sigma * Math.sqrt(ratios.ofStep)),
      nu: horizon.nu,
      latent: horizon.latent,
      varianceRatios: ratios.beyond,
      ...(isOnBars && lagOneAutocorrelation !== undefined && { lagOneAutocorrelation }),
      zeroShare: horizon.zeroAtom ? knowledge.zeroShareFor(request) ** (request.stepSeconds / horizon.stepSeconds) : 0,
    };
    return { dispersion, calibration: id, fallbacks };
  };
}
