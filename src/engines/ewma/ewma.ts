import { ASSETS, type AssetSymbol } from "../../market/assets.ts";
import { SECONDS_PER_HOUR, SECONDS_PER_MINUTE } from "../../units.ts";
import type { EwmaMoment, VolatilityState } from "../../volatility/state.ts";
import type { Engine, ForecastRequest, HandOver, MarketSnapshot, Prepared } from "../engine.ts";
import { simulateEwma } from "./paths.ts";
import { sessionMeanSquare } from "./session-level.ts";

export const EWMA_VERSION = 1;

/** What people choose per asset (config/default.json: engines.ewma). */
export interface EwmaChoices {
  readonly nu: number;
  readonly sigmaScale: number;
  readonly pathFeedback: number;
  readonly offHoursMultiplier: number;
}

/** All that an EWMA forecast depends on besides the request. */
export interface EwmaInput {
  readonly engine: "ewma";
  readonly anchorPrice: number;
  /** Variance of one step's log return inside the regular session (at all times where offHoursMultiplier is 1). */
  readonly sigma2PerStep: number;
  /** Degrees of freedom of the shocks, above 2. */
  readonly nu: number;
  readonly pathFeedback: number;
  readonly offHoursMultiplier: number;
  /** Whether the bound above the reference sigma cut the estimate. */
  readonly clamped: "high" | null;
}

/** From five minutes on, the noise of 1-minute closes (bid-ask bounce) would inflate a variance scaled up from them. */
const FIVE_MINUTES = 300;
const MIN_CANDLES = 120;
/** Less than this sum of weights is a handful of returns: 2 h make .056 of it at the longest default half-life, 24 h. */
const MIN_MASS = 0.02;
/** Beyond this factor from the reference sigma, a broken feed is likelier than the market. */
const MAX_SIGMA_RATIO = 20;

/** The moment of the step's own resolution, its step and its half-life in seconds. */
function momentFor(
  state: VolatilityState,
  stepSeconds: number,
): { moment: EwmaMoment; step: number; halfLife: number } {
  return stepSeconds < FIVE_MINUTES
    ? { moment: state.sigma2Minute, step: SECONDS_PER_MINUTE, halfLife: state.halfLifeMinuteSeconds }
    : { moment: state.sigma2FiveMinute, step: FIVE_MINUTES, halfLife: state.halfLifeFiveMinuteSeconds };
}

/** Variance per second inside the regular session, or why there is none. */
function sessionVariance(
  state: VolatilityState,
  stepSeconds: number,
  offHoursMultiplier: number,
): { variance: number } | { code: string; message: string } {
  const { moment, step, halfLife } = momentFor(state, stepSeconds);
  if (state.candleCount < MIN_CANDLES || !(moment.mass >= MIN_MASS)) {
    const message = `expected ${MIN_CANDLES} candles and mass ${MIN_MASS}, was ${state.candleCount} and ${moment.mass}`;
    return { code: "state/too_short", message };
  }
  const estimate = moment.value / moment.mass;
  if (!(estimate > 0 && Number.isFinite(estimate))) {
    return { code: "state/degenerate", message: `expected a positive variance, was ${estimate} (a frozen feed?)` };
  }
  return { variance: estimate / step / sessionMeanSquare(state, { halfLifeSeconds: halfLife, offHoursMultiplier }) };
}

function handOver(code: string, message: string): { readonly ok: false; readonly handOver: HandOver } {
  return { ok: false, handOver: { engine: "ewma", code, message } };
}

function prepare(request: ForecastRequest, snapshot: MarketSnapshot, choices: EwmaChoices): Prepared<EwmaInput> {
  const { volatility } = snapshot;
  if (volatility.status === "missing")
    return handOver("state/missing", "no volatility state yet; is the updater running?");
  if (volatility.status === "corrupt") return handOver("state/corrupt", volatility.reason);
  if (volatility.status === "stale") {
    return handOver(
      "state/stale",
      `volatility state is ${Math.round(volatility.ageSeconds)} s old; is the updater running?`,
    );
  }
  const level = sessionVariance(volatility.state, request.stepSeconds, choices.offHoursMultiplier);
  if ("code" in level) return handOver(level.code, level.message);

  const reference = ASSETS[request.asset].referenceSigmaPerHour;
  const sigmaPerHour = choices.sigmaScale * Math.sqrt(level.variance * SECONDS_PER_HOUR);
  if (sigmaPerHour < reference / MAX_SIGMA_RATIO) {
    const message = `expected a sigma above 1/${MAX_SIGMA_RATIO} of the reference, was ${sigmaPerHour} per hour (a frozen feed?)`;
    return handOver("state/degenerate", message);
  }
  const bounded = Math.min(sigmaPerHour, reference * MAX_SIGMA_RATIO);
  return {
    ok: true,
    input: {
      engine: "ewma",
      anchorPrice: snapshot.anchor.price,
      sigma2PerStep: (bounded * bounded * request.stepSeconds) / SECONDS_PER_HOUR,
      nu: choices.nu,
      pathFeedback: choices.pathFeedback,
      offHoursMultiplier: choices.offHoursMultiplier,
      clamped: bounded < sigmaPerHour ? "high" : null,
    },
  };
}

/**
 * Driftless walk of log prices with Student-t shocks, at the updater's EWMA variance. Steps below five minutes use the
 * 1-minute moment, longer ones the 5-minute moment, scaled by the step's length.
 */
export function createEwmaEngine(choices: Readonly<Record<AssetSymbol, EwmaChoices>>): Engine<EwmaInput> {
  return {
    name: "ewma",
    version: EWMA_VERSION,
    prepare: (request, snapshot) => prepare(request, snapshot, choices[request.asset]),
    simulate: simulateEwma,
  };
}
