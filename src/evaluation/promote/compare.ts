import { ASSETS, type AssetSymbol } from "../../market/assets.ts";
import { SECONDS_PER_DAY } from "../../units.ts";
import { BOOTSTRAP_DRAWS } from "../backtest/aggregate.ts";
import { bootstrapInterval } from "../backtest/stats.ts";

/** What one side scored on a prompt. */
export interface PromptTotal {
  readonly asset: AssetSymbol;
  /** Unix seconds. */
  readonly start: number;
  /** The validators' score, bps. */
  readonly total: number;
  /** By the model itself, not by the engine that it hands over to. */
  readonly answered: boolean;
}

/** Ratio of weighted sums of scores on the prompts of both sides; below 1 the staged model is better. */
export interface Comparison {
  readonly prompts: number;
  readonly ratio: number | null;
  /** 95 % interval, by a bootstrap of days (UTC) of start times over all assets; null for fewer than five days. */
  readonly low: number | null;
  readonly high: number | null;
  readonly assets: readonly { readonly asset: AssetSymbol; readonly prompts: number; readonly ratio: number | null }[];
  /** Prompts that each side answered itself. */
  readonly answeredByStaged: number;
  readonly answeredByCurrent: number;
}

interface Sums {
  readonly staged: number;
  readonly current: number;
}

/**
 * Paired by asset and start. Scores count with their asset's weight in the subnet's leaderboard:
 * ratio = Σ weight · staged / Σ weight · current.
 */
export function comparePrompts(
  staged: readonly PromptTotal[],
  current: readonly PromptTotal[],
  seed: string,
): Comparison {
  const others = new Map(current.map((prompt) => [keyOf(prompt), prompt]));
  const pairs = staged.flatMap((own) => {
    const other = others.get(keyOf(own));
    return other === undefined ? [] : [{ own, other }];
  });
  const sumsOf = (of: typeof pairs): Sums => ({
    staged: of.reduce((sum, { own }) => sum + ASSETS[own.asset].coefficient * own.total, 0),
    current: of.reduce((sum, { other }) => sum + ASSETS[other.asset].coefficient * other.total, 0),
  });
  const days = [...Map.groupBy(pairs, ({ own }) => Math.floor(own.start / SECONDS_PER_DAY)).values()].map(sumsOf);
  const ratioOf = (drawn: Iterable<number>): number => {
    let [numerator, denominator] = [0, 0];
    for (const day of drawn) {
      numerator += days[day]!.staged;
      denominator += days[day]!.current;
    }
    return numerator / denominator;
  };
  const interval = bootstrapInterval(days.length, ratioOf, { draws: BOOTSTRAP_DRAWS, seed });
  return {
    prompts: pairs.length,
    ratio: finiteRatio(sumsOf(pairs)),
    low: interval?.low ?? null,
    high: interval?.high ?? null,
    assets: [...Map.groupBy(pairs, ({ own }) => own.asset)].map(([asset, of]) => ({
      asset,
      prompts: of.length,
      ratio: finiteRatio(sumsOf(of)),
    })),
    answeredByStaged: pairs.filter(({ own }) => own.answered).length,
    answeredByCurrent: pairs.filter(({ other }) => other.answered).length,
  };
}

function keyOf({ asset, start }: PromptTotal): string {
  return `${asset} ${start}`;
}

function finiteRatio({ staged, current }: Sums): number | null {
  const ratio = staged / current;
  return Number.isFinite(ratio) ? ratio : null;
}

export interface Rule {
  /** Ratios up to 1 + this are "not worse". */
  readonly tolerance: number;
  /** Fewer prompts do not replace a model. */
  readonly minPrompts: number;
}

export type Verdict = "not_worse" | "worse" | "too_few_prompts" | "answers_fewer";

/** A model that takes the place of none needs a prompt or more against the EWMA engine, one that replaces another `minPrompts`. */
export function verdictOf(comparison: Comparison, hasCurrent: boolean, { tolerance, minPrompts }: Rule): Verdict {
  const { ratio, prompts, answeredByStaged, answeredByCurrent } = comparison;
  if (ratio === null || answeredByStaged === 0 || prompts < (hasCurrent ? minPrompts : 1)) return "too_few_prompts";
  // Handing over more often is a change of its own, whatever the scores of those that stand in.
  if (answeredByStaged < answeredByCurrent) return "answers_fewer";
  return ratio <= 1 + tolerance ? "not_worse" : "worse";
}
