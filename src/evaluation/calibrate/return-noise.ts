import type { ScaleSamples } from "./fit-types.ts";

/** Larger ones, over their origin's own, are news. */
const MAX_SIZE = 6;

/** Serial dependence of the finest returns. */
export interface LagOne {
  /** Lag-1 autocorrelation: that of MA(1) noise (bid and ask in turn) is negative, at least -1/2. */
  readonly correlation: number;
  readonly standardError: number;
}

/**
 * Of the seasonally adjusted returns, each over the root mean square of its own origin. Heteroskedasticity-robust standard
 * error (White 1980). Null without two returns in a row.
 */
export function lagOne({ count, logPrices, logSeasonal }: ScaleSamples): LagOne | null {
  const steps = logSeasonal.length / count;
  let [cross, square, error] = [0, 0, 0];
  for (let origin = 0; origin < count; origin++) {
    const scaled = Array.from({ length: steps }, (_, step) => {
      const at = origin * (steps + 1) + step;
      return (logPrices[at + 1]! - logPrices[at]!) / Math.exp(logSeasonal[origin * steps + step]!);
    });
    const known = scaled.filter(Number.isFinite);
    const size = Math.sqrt(known.reduce((sum, x) => sum + x * x, 0) / known.length);
    if (!(size > 0)) continue;
    const standard = scaled.map((x) => Math.min(Math.max(x / size, -MAX_SIZE), MAX_SIZE));
    for (let step = 1; step < steps; step++) {
      const product = standard[step]! * standard[step - 1]!;
      if (Number.isNaN(product)) continue;
      cross += product;
      square += standard[step]! ** 2;
      error += product * product;
    }
  }
  return square > 0 ? { correlation: cross / square, standardError: Math.sqrt(error) / square } : null;
}
