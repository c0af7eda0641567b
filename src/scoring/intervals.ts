import { SECONDS_PER_DAY, SECONDS_PER_HOUR, SECONDS_PER_MINUTE } from "../units.ts";

/**
 * What each competition scores: the lengths, weights and names of synth/validator/competition_config.py in
 * synthdataco/synth-subnet (autumn 2026; volatility blocks since 22 September 2026).
 */

/**
 * Prices are taken at every k-th grid point, k = seconds / step. `change`: the relative change over each block;
 * `gap`: only the first such change; `absolute`: the prices themselves, point 0 left out.
 */
export interface Interval {
  readonly kind: "change" | "absolute" | "gap";
  readonly seconds: number;
}

/** The path is cut into blocks of `seconds`; each block's volatility CRPS counts `weight` times. */
export interface VolatilityBlock {
  readonly seconds: number;
  readonly weight: number;
}

export interface ScoringRules {
  readonly intervals: readonly Interval[];
  readonly volatilityBlocks: readonly VolatilityBlock[];
}

/** A standard deviation with ddof 1 needs two returns. */
export const MIN_BLOCK_RETURNS = 2;

/** Volatility CRPS counts 5.25 times: shared equally by the three block sizes, and by the blocks of each size. */
const VOLATILITY_WEIGHT = 5.25 / 3;

/** Keyed by the horizon; both 24h competitions share their rules. */
export const COMPETITION_RULES = {
  "24h": {
    intervals: [...[300, 1800, 10_800].map(change), { kind: "absolute", seconds: SECONDS_PER_DAY }],
    volatilityBlocks: [],
  },
  "1h": {
    intervals: [
      ...[60, 120, 300, 900, 1800].map(change),
      { kind: "absolute", seconds: SECONDS_PER_HOUR },
      ...Array.from({ length: 12 }, (_, i): Interval => ({ kind: "gap", seconds: 300 * (i + 1) })),
    ],
    volatilityBlocks: [
      { seconds: 3600, weight: VOLATILITY_WEIGHT },
      { seconds: 900, weight: VOLATILITY_WEIGHT / 4 },
      { seconds: 300, weight: VOLATILITY_WEIGHT / 12 },
    ],
  },
} satisfies Record<string, ScoringRules>;

function change(seconds: number): Interval {
  return { kind: "change", seconds };
}

/**
 * Rules for a prompt of any grid. The grids of the competitions get the competitions' own rules. No validator scores
 * other grids; ours: the table of the competition nearest in length, without what does not fit the grid, and the
 * absolute price at the end of the path.
 */
export function scoringRulesFor(grid: { horizonSeconds: number; stepSeconds: number }): ScoringRules {
  const { horizonSeconds, stepSeconds } = grid;
  const table: ScoringRules = COMPETITION_RULES[horizonSeconds <= SECONDS_PER_HOUR ? "1h" : "24h"];
  const fits = (seconds: number): boolean => seconds <= horizonSeconds && seconds % stepSeconds === 0;
  return {
    intervals: table.intervals
      .map((interval) => (interval.kind === "absolute" ? { ...interval, seconds: horizonSeconds } : interval))
      .filter(({ seconds }) => fits(seconds)),
    volatilityBlocks: table.volatilityBlocks.filter(
      ({ seconds }) => fits(seconds) && seconds >= MIN_BLOCK_RETURNS * stepSeconds,
    ),
  };
}

/** The validators' name of an interval: `5min`, `3hour`, `60min_abs`, `24hour_abs`, `0_5min_gaps`. */
export function intervalName({ kind, seconds }: Interval): string {
  const length = lengthName(seconds);
  switch (kind) {
    case "change":
      return length;
    case "absolute":
      return `${length}_abs`;
    case "gap":
      return `0_${length}_gaps`;
  }
}

/** The validators' name of a block size: `vol_60min`. */
export function blockName({ seconds }: VolatilityBlock): string {
  return `vol_${lengthName(seconds)}`;
}

/** One hour is `60min`, longer ones are hours. */
function lengthName(seconds: number): string {
  if (seconds > SECONDS_PER_HOUR && seconds % SECONDS_PER_HOUR === 0) return `${seconds / SECONDS_PER_HOUR}hour`;
  return seconds % SECONDS_PER_MINUTE === 0 ? `${seconds / SECONDS_PER_MINUTE}min` : `${seconds}s`;
}

/** Grid steps in `seconds`, rounded down as the validator does. */
export function stepsIn(seconds: number, stepSeconds: number): number {
  const steps = Math.floor(seconds / stepSeconds);
  if (!(steps >= 1)) throw new RangeError(`expected a step of at most ${seconds} s, was ${stepSeconds} s`);
  return steps;
}
