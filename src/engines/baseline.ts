import { ASSETS } from "../market/assets.ts";
import { Random } from "../math/random.ts";
import { SECONDS_PER_HOUR } from "../units.ts";
import type { Engine, ForecastRequest } from "./engine.ts";
import { takePaths } from "./path-buffer.ts";

/** All that a baseline forecast depends on besides the request. */
export interface BaselineInput {
  readonly engine: "baseline";
  readonly anchorPrice: number;
  /** Standard deviation of one hour's log return. */
  readonly sigmaPerHour: number;
}

/**
 * Driftless Gaussian random walk of log prices with a constant sigma: step sd = sigmaPerHour · sqrt(step / 3600 s).
 * Prices: row-major [path, point].
 */
function simulateBaseline(request: ForecastRequest, input: BaselineInput): Float64Array {
  const steps = request.horizonSeconds / request.stepSeconds;
  const stepSigma = input.sigmaPerHour * Math.sqrt(request.stepSeconds / SECONDS_PER_HOUR);
  const random = Random.fromSeed(request.seed);
  const paths = takePaths(request.numSimulations * (steps + 1));
  let at = 0;
  for (let path = 0; path < request.numSimulations; path++) {
    let logReturn = 0;
    paths[at++] = input.anchorPrice;
    for (let step = 0; step < steps; step++) {
      logReturn += stepSigma * random.normal();
      paths[at++] = input.anchorPrice * Math.exp(logReturn);
    }
  }
  return paths;
}

/** The last resort: the subnet's reference miner. Needs nothing but an anchor price, so it never hands over. */
export const baselineEngine: Engine<BaselineInput> = {
  name: "baseline",
  version: 1,
  prepare: (request, snapshot) => ({
    ok: true,
    input: {
      engine: "baseline",
      anchorPrice: snapshot.anchor.price,
      sigmaPerHour: ASSETS[request.asset].referenceSigmaPerHour,
    },
  }),
  simulate: simulateBaseline,
};
