import { ASSETS } from "../../market/assets.ts";
import {
  HISTOGRAM_BINS,
  SPLITS,
  type BacktestReport,
  type BaselineName,
  type Horizon,
  type ReportAggregate,
  type ReportCalibration,
  type Split,
} from "../backtest/report.ts";

/** The report of one horizon; every chapter of the page shows one horizon after the other. */
export interface HorizonView {
  readonly horizon: Horizon;
  readonly aggregates: readonly ReportAggregate[];
  readonly totals: BacktestReport["totals"];
  /** Engines under test, then baselines, in the order of the command line. */
  readonly forecasters: readonly string[];
  readonly engines: readonly string[];
  readonly baselines: readonly BaselineName[];
}

export function horizonViews({ metadata, aggregates, totals }: BacktestReport): HorizonView[] {
  const horizons = (["24h", "1h"] as const).filter((horizon) => aggregates.some((row) => row.horizon === horizon));
  return horizons.map((horizon) => {
    const rows = aggregates.filter((row) => row.horizon === horizon);
    const present = (name: string): boolean => rows.some(({ engine }) => engine === name);
    const engines = metadata.engines.filter(present);
    const baselines = metadata.baselines.filter(present);
    return {
      horizon,
      aggregates: rows,
      totals: totals.filter((row) => row.horizon === horizon),
      forecasters: [...new Set([...engines, ...baselines])],
      engines,
      baselines,
    };
  });
}

export function aggregatesOf(view: HorizonView, engine: string): ReportAggregate[] {
  return view.aggregates.filter((row) => row.engine === engine);
}

/** Prompts that another engine answered in place of this one, all assets together. */
export function handedOver(rows: readonly ReportAggregate[]): number {
  return sum(rows.flatMap(({ handOvers }) => Object.values(handOvers)));
}

/** All assets' PIT values together. */
export function pooledCalibration(rows: readonly ReportAggregate[], kind: "change" | "absolute"): ReportCalibration {
  const parts = rows.map(({ calibration }) => calibration[kind]);
  const observations = sum(parts.map((part) => part.observations));
  const covered = (level: keyof ReportCalibration["coverage"]): number | null =>
    observations === 0
      ? null
      : sum(parts.map((part) => (part.coverage[level] ?? 0) * part.observations)) / observations;
  return {
    observations,
    coverage: { "50": covered("50"), "80": covered("80"), "95": covered("95"), "99": covered("99") },
    pitHistogram: Array.from({ length: HISTOGRAM_BINS }, (_, bin) =>
      sum(parts.map((part) => part.pitHistogram[bin] ?? 0)),
    ),
  };
}

export interface PooledSplit {
  readonly split: Split;
  readonly prompts: number;
  /** Mean score over assets, weighted by the subnet's coefficients, bps. */
  readonly weightedScore: number;
  /** Ratio of weighted means over the assets that have prompts of both in the split; null without any. */
  readonly ratios: readonly { readonly baseline: BaselineName; readonly ratio: number | null }[];
}

/** An engine's scores in each split, assets weighted as in the totals. Splits without prompts are left out. */
export function pooledSplits(view: HorizonView, engine: string): PooledSplit[] {
  const rows = aggregatesOf(view, engine);
  return SPLITS.flatMap((split) => {
    const mine = scoresIn(rows, split);
    if (mine.length === 0) return [];
    const ratios = view.baselines
      .filter((baseline) => baseline !== engine)
      .map((baseline) => {
        const theirs = scoresIn(aggregatesOf(view, baseline), split);
        const shared = mine.filter(({ asset }) => theirs.some((other) => other.asset === asset));
        const opposite = theirs.filter(({ asset }) => mine.some((other) => other.asset === asset));
        const divisor = weightedMean(opposite);
        return { baseline, ratio: divisor > 0 ? weightedMean(shared) / divisor : null };
      });
    return [{ split, prompts: sum(mine.map(({ prompts }) => prompts)), weightedScore: weightedMean(mine), ratios }];
  });
}

interface AssetScore {
  readonly asset: ReportAggregate["asset"];
  readonly prompts: number;
  readonly meanScore: number;
}

function scoresIn(rows: readonly ReportAggregate[], split: Split): AssetScore[] {
  return rows.flatMap(({ asset, splits }) => {
    const part = splits.find((one) => one.split === split);
    if (part === undefined || part.meanScore === null) return [];
    return [{ asset, prompts: part.prompts, meanScore: part.meanScore }];
  });
}

function weightedMean(scores: readonly AssetScore[]): number {
  const weight = sum(scores.map(({ asset }) => ASSETS[asset].coefficient));
  return sum(scores.map(({ asset, meanScore }) => ASSETS[asset].coefficient * meanScore)) / weight;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
