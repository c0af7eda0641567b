import { ASSETS, type AssetSymbol } from "../../market/assets.ts";
import { firstEventFrom, type EventKind, type ScheduledEvent } from "../../market/events.ts";
import { SECONDS_PER_HOUR } from "../../units.ts";
import { eventFactor, type EventKernels } from "../../volatility/event-kernel.ts";
import type { VolatilityState } from "../../volatility/state.ts";
import type { WeeklyProfile } from "../../volatility/weekly-profile.ts";
import type { Engine, ForecastRequest, HandOver, MarketSnapshot, Prepared } from "../engine.ts";
import { horizonClass } from "../horizon.ts";
import type { PathModel } from "../path-model.ts";
import { simulatePathModel } from "../paths/simulate.ts";
import { recalibrate, type RecalibrationFactor, type RecalibrationSource } from "../recalibration.ts";
import { ownOrClass, priorOf, type EwmaCalibration } from "./calibration.ts";
import { plainDispersion, type Dispersion, type EwmaChoices } from "./plain.ts";
import { knowledgeOf, profileOf, ratiosFor, stepSigmas, type Knowledge } from "./scale.ts";

export const EWMA_VERSION = 2;

/** All that an EWMA forecast depends on besides the request. */
export interface EwmaInput {
  readonly engine: "ewma";
  readonly model: PathModel;
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

/** From the statement of the FOMC to the first questions. */
const PRESS_CONFERENCE_SECONDS = 1800;
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
) => { readonly dispersion: Dispersion; readonly fallbacks: readonly EwmaFallback[] } | EwmaFallback;

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
  if (deps.recalibration === null) return { ok: true, input: { engine: "ewma", model, fallbacks } };
  const { factors, reason } = deps.recalibration.lookUp(request.asset, horizonClass(request.horizonSeconds));
  if (reason !== null) fallbacks.push({ code: "recalibration/none", message: reason });
  const corrected = recalibrate(model, factors, request.stepSeconds);
  return { ok: true, input: { engine: "ewma", model: corrected, recalibration: factors, fallbacks } };
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

/** News that is out is in the levels already: only events ahead count, and the press conference of a statement. */
function eventFactors(
  { asset, startTime }: ForecastRequest,
  kernels: EventKernels | null,
  events: readonly ScheduledEvent[],
): (from: number, to: number) => number {
  if (kernels === null) return () => 1;
  const lag = (kind: EventKind): number => (kind === "fomc" ? PRESS_CONFERENCE_SECONDS : 0);
  const ahead = events
    .slice(firstEventFrom(events, startTime - PRESS_CONFERENCE_SECONDS))
    .filter(({ kind, time }) => time + lag(kind) >= startTime);
  const effect = { kernels, assetClass: ASSETS[asset].assetClass, events: ahead };
  return (from, to) => eventFactor(effect, from, to);
}

/** Keeps what it worked out of a state until the next one: several prompts are asked of each. */
function createCalibratedScale({ choices, calibration, events }: EwmaDeps): CalibratedScale {
  const profiles = new WeakMap<VolatilityState, WeeklyProfile>();
  const known = { "1h": new WeakMap<VolatilityState, Known>(), "24h": new WeakMap<VolatilityState, Known>() };
  type Known = Knowledge | EwmaFallback;

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
    const sigmas = stepSigmas(request, knowledge, {
      basis: horizon,
      scale: scale.value,
      offHoursMultiplier,
      factorAt: eventFactors(request, calibration.events, events),
    });
    const dispersion: Dispersion = {
      stepSigmas: sigmas,
      nu: horizon.nu,
      latent: horizon.latent,
      varianceRatios: ratiosFor(scale.value.varianceRatios, request.stepSeconds),
      zeroShare: horizon.zeroAtom ? knowledge.zeroShare ** (request.stepSeconds / horizon.stepSeconds) : 0,
    };
    return { dispersion, fallbacks };
  };
}
