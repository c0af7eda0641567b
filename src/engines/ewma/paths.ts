import { usSessionShare } from "../../market/session.ts";
import { Random } from "../../math/random.ts";
import { meanOfCappedSquare } from "../../math/student-t.ts";
import type { ForecastRequest } from "../engine.ts";
import { takePaths } from "../path-buffer.ts";
import type { EwmaInput } from "./ewma.ts";
import { meanSquareMultiplier } from "./session-level.ts";

/** A single shock is cut here, so that no draw at a small nu leaves the range of prices; at nu = 5 one in 3 million is. */
const MAX_SHOCK = 30;
/** Squared shocks are cut at three standard deviations before they feed the variance: squares chase outliers. */
const SQUARE_CAP = 9;
/** Bounds of a path's variance relative to the calibrated one: a factor 3 on sigma either way. */
const MIN_RATIO = 1 / 9;
const MAX_RATIO = 9;

/** Standard deviation of each step's log return before the path's own feedback. */
function stepSigmas(request: ForecastRequest, input: EwmaInput, steps: number): Float64Array {
  const sigmas = new Float64Array(steps).fill(Math.sqrt(input.sigma2PerStep));
  if (input.offHoursMultiplier === 1) return sigmas;
  for (let step = 0; step < steps; step++) {
    const from = request.startTime + step * request.stepSeconds;
    const share = usSessionShare(from, from + request.stepSeconds);
    sigmas[step]! *= Math.sqrt(meanSquareMultiplier(share, input.offHoursMultiplier));
  }
  return sigmas;
}

/**
 * Paths of log prices: r_i = sigma_i · sqrt(v_i) · z_i, with z Student-t(nu) of unit variance and the path's own
 * variance ratio v_0 = 1,
 *
 *     v_{i+1} = a + (1 - 2a) · v_i + a · v_i · min(z_i², 9) / E[min(z², 9)],   within [1/9, 9].
 *
 * It reverts to 1 as fast as shocks enter, and its mean stays 1 (the capped square is recentred), so that
 * the calibrated variance of the whole horizon is kept while volatility clusters inside each path. No -sigma²/2 term: the median path
 * is flat; the mean drifts by sigma²/2, 3 bps in a BTC day, which no scored interval can see.
 *
 * Prices: row-major [path, point].
 */
export function simulateEwma(request: ForecastRequest, input: EwmaInput): Float64Array {
  const { anchorPrice, nu, pathFeedback } = input;
  const steps = request.horizonSeconds / request.stepSeconds;
  const sigmas = stepSigmas(request, input, steps);
  const shockWeight = pathFeedback / meanOfCappedSquare(nu, SQUARE_CAP);
  const random = Random.fromSeed(request.seed);
  const paths = takePaths(request.numSimulations * (steps + 1));
  let at = 0;
  for (let path = 0; path < request.numSimulations; path++) {
    let logReturn = 0;
    let ratio = 1;
    paths[at++] = anchorPrice;
    for (let step = 0; step < steps; step++) {
      const shock = Math.min(Math.max(random.studentT(nu), -MAX_SHOCK), MAX_SHOCK);
      logReturn += sigmas[step]! * Math.sqrt(ratio) * shock;
      paths[at++] = anchorPrice * Math.exp(logReturn);
      const next = pathFeedback + ratio * (1 - 2 * pathFeedback + shockWeight * Math.min(shock * shock, SQUARE_CAP));
      ratio = Math.min(Math.max(next, MIN_RATIO), MAX_RATIO);
    }
  }
  return paths;
}
