import type { EwmaMoment } from "./state.ts";

export const EMPTY_MOMENT: EwmaMoment = { value: 0, mass: 0 };

/**
 * One observation of an exponentially weighted variance in irregular time (RiskMetrics' recursion with the weight of
 * Müller's EMA operator, "previous point" form): over a return that spans n steps,
 *
 *     w = 2^(-n·step / halfLife),  value ← w·value + (1-w)·r²/n,  mass ← w·mass + (1-w)
 *
 * so a missing bar decays what was known by the time that passed. `logReturn` is ln(close / previous close),
 * dimensionless; `value / mass` is its variance per step. `mass` cannot round above 1: 1-w is exact for w >= 1/2, and
 * off by less than half a unit below.
 */
export function updateMoment(
  moment: EwmaMoment,
  observation: { logReturn: number; steps: number; stepSeconds: number; halfLifeSeconds: number },
): EwmaMoment {
  const { logReturn, steps, stepSeconds, halfLifeSeconds } = observation;
  const decay = 2 ** (-(steps * stepSeconds) / halfLifeSeconds);
  return {
    value: decay * moment.value + (1 - decay) * (logReturn ** 2 / steps),
    mass: decay * moment.mass + (1 - decay),
  };
}

/** The moment after `halfLives` in which nothing was observed: the estimate stays, its weight against new returns falls. */
export function decayMoment(moment: EwmaMoment, halfLives: number): EwmaMoment {
  const decay = 2 ** -halfLives;
  return { value: decay * moment.value, mass: decay * moment.mass };
}

/** Variance of the log return over one step; null before the first observation. */
export function variancePerStep(moment: EwmaMoment): number | null {
  return moment.mass > 0 ? moment.value / moment.mass : null;
}
