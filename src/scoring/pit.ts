/**
 * Probability integral transform of `observation` in an ensemble of n members: its mid-rank among the n + 1 values,
 *
 *   PIT = (#{y_i < x} + (#{y_i = x} + 1) / 2) / (n + 1)
 *
 * If members and observation are exchangeable (a calibrated ensemble) and have no ties, the PIT is uniform on the n + 1
 * midpoints of (0, 1). Ties are split evenly instead of at random (Gneiting, Balabdaoui & Raftery 2007; the rank
 * histogram of Hamill 2001 without its randomisation), so that one prompt has one PIT; it is never 0 or 1.
 */
export function pit(members: Float64Array, observation: number): number {
  let below = 0;
  let equal = 0;
  for (let i = 0; i < members.length; i++) {
    const member = members[i]!;
    if (member < observation) below++;
    else if (member === observation) equal++;
  }
  return (below + (equal + 1) / 2) / (members.length + 1);
}

/** Central intervals whose coverage is reported. */
export const COVERAGE_LEVELS = [0.5, 0.8, 0.95, 0.99] as const;

/** 1 - 0.99 and 2 · (0.5 - 0.495) differ in their last digits: a PIT on the border counts as covered. */
const BORDER_TOLERANCE = 1e-12;

/**
 * Fraction of observations inside the central interval of probability `level`: those with |PIT - 1/2| <= level / 2.
 * Calibrated forecasts give `level`, to within 1 / (n + 1) of the ensemble size. NaN without observations.
 */
export function coverage(pits: readonly number[], level: number): number {
  const covered = pits.filter((value) => Math.abs(value - 0.5) <= level / 2 + BORDER_TOLERANCE);
  return covered.length / pits.length;
}

/** Counts of PIT values in `bins` equal bins of (0, 1), each closed on its left. */
export function pitHistogram(pits: readonly number[], bins: number): number[] {
  const counts = new Array<number>(bins).fill(0);
  for (const value of pits) counts[Math.min(Math.floor(value * bins), bins - 1)]!++;
  return counts;
}
