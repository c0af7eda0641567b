import { ASSETS } from "../market/assets.ts";
import { Random } from "../math/random.ts";
import { SECONDS_PER_HOUR } from "../units.ts";
import type { Engine, ForecastRequest } from "./engine.ts";
import { takePaths } from "./path-buffer.ts";
import { simulatePathModel } from "./paths/simulate.ts";

export const BASELINE_VERSION = 3;

/** All that a baseline forecast depends on besides the request. */
export interface BaselineInput {
  readonly engine: "baseline";
  readonly anchorPrice: number;
  /** Standard deviation of one hour's log return. */
  readonly sigmaPerHour: number;
  /** Absent: the subnet's reference miner as it is. */
  readonly rankMatched?: boolean | undefined;
}

/** Student's t from here on is drawn as a normal (see student-shocks.ts). */
const GAUSSIAN_NU = 1000;

/**
 * Driftless Gaussian random walk of log prices with a constant sigma: step sd = sigmaPerHour · sqrt(step / 3600 s).
 * Prices: row-major [path, point].
 */
export function simulateBaseline(request: ForecastRequest, input: BaselineInput): Float64Array {
  const steps = request.horizonSeconds / request.stepSeconds;
  const stepSigma = input.sigmaPerHour * Math.sqrt(request.stepSeconds / SECONDS_PER_HOUR);
  if (input.rankMatched) {
    return simulatePathModel(request, {
      anchorPrice: input.anchorPrice,
      stepSigmas: new Array<number>(steps).fill(stepSigma),
      nu: GAUSSIAN_NU,
      latent: { tau: 0, halfLifeSeconds: 0 },
      varianceRatios: [],
      zeroShare: 0,
      rankMatched: true,
    });
  }
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
export function createBaselineEngine(deps: { readonly rankMatching: boolean }): Engine<BaselineInput> {
  return {
    name: "baseline",
    version: BASELINE_VERSION,
    prepare: (request, snapshot) => ({
      ok: true,
      input: {
        engine: "baseline",
        anchorPrice: snapshot.anchor.price,
        sigmaPerHour: ASSETS[request.asset].referenceSigmaPerHour,
        rankMatched: deps.rankMatching,
      },
    }),
    simulate: simulateBaseline,
  };
}
