import { simulatePathModel } from "../../../../src/engines/paths/simulate.ts";
import type { VarianceRatio } from "../../../../src/engines/path-model.ts";
import type { ScaleSamples, Shape } from "../../../../src/evaluation/calibrate/fit-types.ts";
import type { AssetClass, AssetSymbol } from "../../../../src/market/assets.ts";
import { Random } from "../../../../src/math/random.ts";
import { unixSeconds } from "../../../../src/units.ts";

export const HOUR = { horizonSeconds: 3600, stepSeconds: 60 };
export const DAY = { horizonSeconds: 86_400, stepSeconds: 300 };
export const NORMAL: Shape = { nu: 1000, latent: { tau: 0, halfLifeSeconds: 3600 } };

export interface Truth {
  readonly asset?: AssetSymbol;
  readonly assetClass?: AssetClass;
  readonly count: number;
  /** log sigma of a step relative to the reference of 1e-3 and the seasonal factor, of `features` and the share of the way (0 to 1). */
  readonly level: (features: readonly number[], lead: number) => number;
  readonly shape: Shape;
  readonly varianceRatios?: readonly VarianceRatio[];
  readonly lagOneAutocorrelation?: number;
  readonly seed: string;
}

export const FEATURES = 2;

/** Samples of which the true scale is known: two correlated features, a sine as seasonal factor, origins a horizon apart. */
export function samplesOf(grid: typeof HOUR, truth: Truth): ScaleSamples {
  const { count } = truth;
  const stepCount = grid.horizonSeconds / grid.stepSeconds;
  const random = Random.fromSeed(truth.seed);
  const startTimes = Float64Array.from({ length: count }, (_, i) => 1_700_000_000 + i * grid.horizonSeconds);
  const features = new Float64Array(count * FEATURES);
  const logSeasonal = new Float64Array(count * stepCount);
  const logPrices = new Float64Array(count * (stepCount + 1));
  for (let origin = 0; origin < count; origin++) {
    const shared = random.normal();
    const own = [0.4 * shared, 0.1 * shared + 0.4 * random.normal()];
    features.set(own, origin * FEATURES);
    const seasonal = Float64Array.from(
      { length: stepCount },
      (_, i) => Math.log(1e-3) + 0.3 * Math.sin(origin + (6 * i) / stepCount),
    );
    logSeasonal.set(seasonal, origin * stepCount);
    const prices = simulatePathModel(
      { asset: "BTC", startTime: unixSeconds(0), ...grid, numSimulations: 1, seed: `${truth.seed} ${origin}` },
      {
        anchorPrice: 1,
        stepSigmas: Array.from(seasonal, (s, i) => Math.exp(s + truth.level(own, i / (stepCount - 1)))),
        ...truth.shape,
        varianceRatios: truth.varianceRatios ?? [],
        lagOneAutocorrelation: truth.lagOneAutocorrelation,
        zeroShare: 0,
        rankMatched: false,
      },
    );
    logPrices.set(prices.map(Math.log), origin * (stepCount + 1));
  }
  const { asset = "BTC", assetClass = "crypto" } = truth;
  return { asset, assetClass, ...grid, featureCount: FEATURES, count, startTimes, features, logSeasonal, logPrices };
}
