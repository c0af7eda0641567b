import { usSessionShare } from "../../market/session.ts";
import { SECONDS_PER_MINUTE } from "../../units.ts";
import type { EwmaMoment, VolatilityState } from "../../volatility/state.ts";
import type { ForecastRequest } from "../engine.ts";
import type { PathModel } from "../path-model.ts";
import { meanSquareMultiplier, sessionMeanSquare } from "./session-level.ts";

/** What people choose per asset (config/default.json: engines.ewma). */
export interface EwmaChoices {
  readonly nu: number;
  readonly sigmaScale: number;
  readonly offHoursMultiplier: number;
}

/** Everything of a path model but where it starts and how its paths are finished. */
export type Dispersion = Omit<PathModel, "anchorPrice" | "rankMatched">;

/** From five minutes on, the noise of 1-minute closes (bid-ask bounce) would inflate a variance scaled up from them. */
const FIVE_MINUTES = 300;
const MIN_CANDLES = 120;
/** Less than this sum of weights is a handful of returns: 2 h make .056 of it at the longest default half-life, 24 h. */
const MIN_MASS = 0.02;
/** Of the latent volatility where nothing was fitted: the middle of what `calibrate` finds. */
const DEFAULT_LATENT = { tau: 0.3, halfLifeSeconds: 7200 };

/** The moment of the step's own resolution, its step and its half-life in seconds. */
function momentFor(
  state: VolatilityState,
  stepSeconds: number,
): { moment: EwmaMoment; step: number; halfLife: number } {
  return stepSeconds < FIVE_MINUTES
    ? { moment: state.sigma2Minute, step: SECONDS_PER_MINUTE, halfLife: state.halfLifeMinuteSeconds }
    : { moment: state.sigma2FiveMinute, step: FIVE_MINUTES, halfLife: state.halfLifeFiveMinuteSeconds };
}

/**
 * The forecast without a calibration: the updater's EWMA variance, scaled by the step's length (steps below five minutes
 * use the 1-minute moment), in the rhythm of the sessions. Or why the state cannot give it.
 */
export function plainDispersion(
  request: ForecastRequest,
  state: VolatilityState,
  { nu, sigmaScale, offHoursMultiplier }: EwmaChoices,
): Dispersion | { readonly code: string; readonly message: string } {
  const { startTime, horizonSeconds, stepSeconds } = request;
  const { moment, step, halfLife } = momentFor(state, stepSeconds);
  if (state.candleCount < MIN_CANDLES || !(moment.mass >= MIN_MASS)) {
    const message = `expected ${MIN_CANDLES} candles and mass ${MIN_MASS}, was ${state.candleCount} and ${moment.mass}`;
    return { code: "state/too_short", message };
  }
  const estimate = moment.value / moment.mass;
  if (!(estimate > 0 && Number.isFinite(estimate))) {
    return { code: "state/degenerate", message: `expected a positive variance, was ${estimate} (a frozen feed?)` };
  }
  const seen = sessionMeanSquare(state, { halfLifeSeconds: halfLife, offHoursMultiplier });
  const sigma = sigmaScale * Math.sqrt((estimate / seen) * (stepSeconds / step));
  const stepSigmas = Array.from({ length: horizonSeconds / stepSeconds }, (_, i) => {
    const from = startTime + i * stepSeconds;
    const share = offHoursMultiplier === 1 ? 1 : usSessionShare(from, from + stepSeconds);
    return sigma * Math.sqrt(meanSquareMultiplier(share, offHoursMultiplier));
  });
  return { stepSigmas, nu, latent: DEFAULT_LATENT, varianceRatios: [], zeroShare: 0 };
}
