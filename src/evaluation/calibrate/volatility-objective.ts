import type { ForecastRequest } from "../../engines/engine.ts";
import { releasePaths } from "../../engines/path-buffer.ts";
import { simulatePathModel } from "../../engines/paths/simulate.ts";
import { scoringRulesFor } from "../../scoring/intervals.ts";
import { scorePrompt } from "../../scoring/prompt-score.ts";
import { unixSeconds } from "../../units.ts";
import type { AssetScale, ScaleSamples, Shape } from "./fit-types.ts";
import type { PricePlan } from "./fit-plan.ts";
import { priceDataOf, stepSigmas, vectorOf } from "./price-objective.ts";

/** An ensemble of n adds 1/n of the forecast's own spread to its CRPS, nearly the same for every shape compared. */
const PATHS = 200;

/**
 * Mean weighted volatility CRPS per origin, bps, of ensembles simulated without rank matching: 0 for a competition that
 * scores none. At most `maxOrigins` evenly spread origins. One seed draws the same random numbers for every shape.
 */
export function volatilityLoss(
  samples: ScaleSamples,
  scale: AssetScale,
  plan: PricePlan,
  options: { readonly shape: Shape; readonly seed: number; readonly maxOrigins: number },
): number {
  const { volatilityBlocks } = scoringRulesFor(samples);
  if (volatilityBlocks.length === 0) return 0;
  const data = priceDataOf(samples, plan);
  const vector = vectorOf(scale, plan);
  const used = evenly(data.count, options.maxOrigins);
  let sum = 0;
  for (const origin of used) {
    const request: ForecastRequest = {
      asset: samples.asset,
      startTime: unixSeconds(data.startTimes[origin]!),
      horizonSeconds: samples.horizonSeconds,
      stepSeconds: samples.stepSeconds,
      numSimulations: PATHS,
      seed: `volatility ${options.seed} ${samples.asset} ${data.startTimes[origin]!}`,
    };
    const paths = simulatePathModel(request, {
      anchorPrice: 1,
      stepSigmas: [...stepSigmas(data, plan, vector, origin)],
      ...options.shape,
      varianceRatios: scale.varianceRatios,
      zeroShare: 0,
      rankMatched: false,
    });
    const realised = realisedPrices(samples, data.origins[origin]!, plan.stepCount + 1);
    const score = scorePrompt(
      { paths, pathCount: PATHS, realised, stepSeconds: samples.stepSeconds },
      { intervals: [], volatilityBlocks },
    );
    if (score.rejection) throw new Error(`expected a scored ensemble, was rejected: ${score.rejection}`);
    sum += score.volatilityCrps;
    releasePaths(paths);
  }
  return sum / used.length;
}

/** Prices relative to the first observed one: scores of volatility do not depend on the level. */
function realisedPrices(samples: ScaleSamples, origin: number, points: number): Float64Array {
  const row = samples.logPrices.subarray(origin * points, (origin + 1) * points);
  const level = row.find((value) => !Number.isNaN(value)) ?? 0;
  return row.map((value) => Math.exp(value - level));
}

/** At most `max` of the indices below `count`, evenly spread. */
export function evenly(count: number, max: number): number[] {
  const kept = Math.min(count, max);
  return Array.from({ length: kept }, (_, i) => Math.floor(((i + 0.5) * count) / kept));
}
