import type { PathModel } from "../../src/engines/path-model.ts";

/** A model like a coin's: a daily cycle, t(6), latent volatility and variance ratios below 1. */
export function pathModel(
  grid: { readonly horizonSeconds: number; readonly stepSeconds: number },
  changes: Partial<PathModel> = {},
): PathModel {
  const { horizonSeconds, stepSeconds } = grid;
  const steps = horizonSeconds / stepSeconds;
  const base = 1e-3 * Math.sqrt(stepSeconds / 300);
  const ratios = [
    { seconds: 300, ratio: 0.97 },
    { seconds: 1800, ratio: 0.95 },
    { seconds: 10_800, ratio: 0.89 },
    { seconds: 86_400, ratio: 0.85 },
  ];
  return {
    anchorPrice: 100_000,
    stepSigmas: Array.from({ length: steps }, (_, i) => base * Math.exp(0.35 * Math.sin((2 * Math.PI * i) / steps))),
    nu: 6,
    latent: { tau: 0.35, halfLifeSeconds: 4 * 3600 },
    varianceRatios: ratios.filter(({ seconds }) => seconds > stepSeconds && seconds <= horizonSeconds),
    zeroShare: 0,
    rankMatched: true,
    ...changes,
  };
}
