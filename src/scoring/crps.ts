import { createEnsemble, sortEnsemble, type Ensemble } from "./ensemble.ts";

/**
 * Continuous ranked probability score of an ensemble y_1 … y_n for the observation x, in their unit:
 *
 *   CRPS = mean|y - x| - 1/(2 n²) ΣΣ |y_i - y_j| = ∫ (F(z) - 1{z >= x})² dz
 *
 * with F the ensemble's empirical distribution (Gneiting & Raftery 2007, eq. 20 and 21; the plain form with divisor n²,
 * as `properscoring.crps_ensemble`). The integral is a sum over the gaps of the sorted members in which every term is
 * positive, so nothing cancels. O(n log n). Leaves the members sorted in `ensemble.sorted`.
 */
export function crpsOfEnsemble(ensemble: Ensemble, observation: number): number {
  sortEnsemble(ensemble);
  const { sorted } = ensemble;
  const size = sorted.length;
  const first = sorted[0]!;
  // In units of 1/n², so that the loop does not divide.
  let sum = 0;
  let left = first;
  for (let rank = 1; rank < size; rank++) {
    const right = sorted[rank]!;
    const below = rank * rank;
    const above = (size - rank) * (size - rank);
    if (observation >= right) sum += (right - left) * below;
    else if (observation <= left) sum += (right - left) * above;
    else sum += (observation - left) * below + (right - observation) * above;
    left = right;
  }
  const inside = sum / (size * size);
  // Beyond the members F is 0 or 1: the observation's whole distance counts.
  if (observation < first) return inside + (first - observation);
  return observation > left ? inside + (observation - left) : inside;
}

/** The same for members in any array, which is left as it is. */
export function crps(members: ArrayLike<number>, observation: number): number {
  const ensemble = createEnsemble(members.length);
  ensemble.members.set(members);
  return crpsOfEnsemble(ensemble, observation);
}
