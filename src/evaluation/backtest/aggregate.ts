import { ASSETS, type AssetSymbol } from "../../market/assets.ts";
import { usSessionShare } from "../../market/session.ts";
import { COVERAGE_LEVELS } from "../../scoring/pit.ts";
import { SECONDS_PER_DAY } from "../../units.ts";
import type { OracleSigma } from "./run.ts";
import {
  BASELINE_NAMES,
  HISTOGRAM_BINS,
  SPLITS,
  type BaselineName,
  type Horizon,
  type ReportAggregate,
  type ReportCalibration,
  type ReportComparison,
  type ReportTotal,
  type Split,
} from "./report.ts";
import type { ContestantScore, PitCounts, PromptResult } from "./score-chunk.ts";
import { bootstrapInterval, dieboldMariano, hacLags } from "./stats.ts";

/** Enough that the ends of a 95 % interval are steady in their third digit. */
export const BOOTSTRAP_DRAWS = 2000;

interface Group {
  readonly asset: AssetSymbol;
  readonly horizon: Horizon;
  /** In time order. */
  readonly results: readonly PromptResult[];
  readonly engines: readonly string[];
}

function isBaseline(engine: string): engine is BaselineName {
  return (BASELINE_NAMES as readonly string[]).includes(engine);
}

function groupsOf(results: readonly PromptResult[]): Group[] {
  const groups = Map.groupBy(results, ({ prompt, horizon }) => `${horizon} ${prompt.asset}`);
  return [...groups.values()].map((own) => ({
    asset: own[0]!.prompt.asset,
    horizon: own[0]!.horizon,
    results: [...own].sort((a, b) => a.prompt.start - b.prompt.start),
    engines: own[0]!.scores.map(({ engine }) => engine),
  }));
}

/** Per asset, horizon and engine. `results` of one asset and horizon hold the same engines in the same order. */
export function aggregate(
  results: readonly PromptResult[],
  options: { readonly seed: number; readonly oracles: readonly OracleSigma[] },
): ReportAggregate[] {
  return groupsOf(results).flatMap((group) => {
    const splits = splitsOf(group.results);
    return group.engines.map((engine) => aggregateEngine(group, engine, { ...options, splits }));
  });
}

function aggregateEngine(
  group: Group,
  engine: string,
  options: { seed: number; oracles: readonly OracleSigma[]; splits: ReadonlyMap<Split, readonly PromptResult[]> },
): ReportAggregate {
  const { asset, horizon, results } = group;
  const scores = scoresOf(results, engine);
  const baselines = baselinesOf(group, engine);
  const oracle = options.oracles.find((each) => each.asset === asset && each.horizon === horizon);
  return {
    asset,
    horizon,
    engine,
    isBaseline: isBaseline(engine),
    prompts: results.length,
    handOvers: countHandOvers(scores),
    meanScore: mean(scores.map(({ total }) => total)),
    meanPriceCrps: mean(scores.map(({ priceCrps }) => priceCrps)),
    meanVolatilityCrps: mean(scores.map(({ volatilityCrps }) => volatilityCrps)),
    meanByInterval: meanByName(scores.map(({ priceCrpsByInterval }) => priceCrpsByInterval)),
    comparisons: baselines.map((baseline) => compare(group, { engine, baseline, seed: options.seed })),
    calibration: {
      change: calibrationOf(scores.map(({ pits }) => pits.change)),
      absolute: calibrationOf(scores.map(({ pits }) => pits.absolute)),
    },
    splits: SPLITS.map((split) => {
      const own = options.splits.get(split) ?? [];
      return {
        split,
        prompts: own.length,
        meanScore: meanTotal(own, engine),
        ratios: baselines.map((baseline) => ({
          baseline,
          ratio: ratio(meanTotal(own, engine), meanTotal(own, baseline)),
        })),
      };
    }),
    sigmaPerHour: engine === "oracle" ? (oracle?.sigmaPerHour ?? null) : null,
  };
}

function baselinesOf(group: Group, engine: string): BaselineName[] {
  return BASELINE_NAMES.filter((baseline) => baseline !== engine && group.engines.includes(baseline));
}

function scoresOf(results: readonly PromptResult[], engine: string): ContestantScore[] {
  return results.map(({ scores }) => scores.find((score) => score.engine === engine)!);
}

function meanTotal(results: readonly PromptResult[], engine: string): number | null {
  return mean(scoresOf(results, engine).map(({ total }) => total));
}

function mean(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}

function ratio(numerator: number | null, denominator: number | null): number | null {
  return numerator === null || denominator === null || denominator === 0 ? null : numerator / denominator;
}

/** Over the prompts that have the interval: grids may differ. */
function meanByName(rows: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const names = new Set(rows.flatMap((row) => Object.keys(row)));
  return Object.fromEntries(
    [...names].map((name) => [name, mean(rows.flatMap((row) => (name in row ? [row[name]!] : [])))!]),
  );
}

/** "patchtst → ewma: patchtst: model/not_installed" and how often. */
function countHandOvers(scores: readonly ContestantScore[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { engine, answeredBy, handOvers } of scores) {
    if (handOvers.length === 0) continue;
    const key = `${engine} → ${answeredBy}: ${handOvers.join(", ")}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

function calibrationOf(pits: readonly PitCounts[]): ReportCalibration {
  const observations = pits.reduce((sum, each) => sum + each.observations, 0);
  const covered = COVERAGE_LEVELS.map((_, level) =>
    observations === 0 ? null : pits.reduce((sum, each) => sum + each.covered[level]!, 0) / observations,
  );
  return {
    observations,
    coverage: { "50": covered[0]!, "80": covered[1]!, "95": covered[2]!, "99": covered[3]! },
    pitHistogram: Array.from({ length: HISTOGRAM_BINS }, (_, bin) =>
      pits.reduce((sum, { histogram }) => sum + histogram[bin]!, 0),
    ),
  };
}

function dayOf({ prompt }: PromptResult): number {
  return Math.floor(prompt.start / SECONDS_PER_DAY);
}

function compare(
  group: Group,
  { engine, baseline, seed }: { engine: string; baseline: BaselineName; seed: number },
): ReportComparison {
  const { results } = group;
  const own = scoresOf(results, engine).map(({ total }) => total);
  const other = scoresOf(results, baseline).map(({ total }) => total);
  const differences = own.map((total, i) => total - other[i]!);
  const days = [...Map.groupBy(results, dayOf).keys()];
  const sums = dailySums(group, { engine, baseline, days });
  // The seed leaves the engine out: all engines are compared on the same resamples.
  const interval = bootstrapInterval(days.length, (drawn) => ratioOf([sums], drawn), {
    draws: BOOTSTRAP_DRAWS,
    seed: `bootstrap ${seed} ${group.asset} ${group.horizon}`,
  });
  const lags = hacLags(results.length, overlapOf(results));
  const test = dieboldMariano(differences, lags);
  return {
    baseline,
    prompts: results.length,
    ratio: ratio(mean(own), mean(other)),
    ratioLow: interval?.low ?? null,
    ratioHigh: interval?.high ?? null,
    meanDifference: mean(differences),
    dmStatistic: test?.statistic ?? null,
    dmPValue: test?.pValue ?? null,
    dmLags: lags,
  };
}

/** How many neighbouring prompts a horizon reaches over, at the median distance of starts. */
function overlapOf(results: readonly PromptResult[]): number {
  const distances = results.slice(1).map(({ prompt }, i) => prompt.start - results[i]!.prompt.start);
  const median = [...distances].sort((a, b) => a - b)[Math.floor(distances.length / 2)] ?? 0;
  return median > 0 ? Math.ceil(results[0]!.prompt.horizonSeconds / median) : results.length;
}

/** One asset's paired scores by day, weighted as a whole by `weight`. */
interface DailySums {
  readonly weight: number;
  readonly engine: Float64Array;
  readonly baseline: Float64Array;
  readonly prompts: Float64Array;
}

function dailySums(
  group: Group,
  { engine, baseline, days }: { engine: string; baseline: string; days: readonly number[] },
): DailySums {
  const place = new Map(days.map((day, index) => [day, index]));
  const sums = {
    weight: ASSETS[group.asset].coefficient,
    engine: new Float64Array(days.length),
    baseline: new Float64Array(days.length),
    prompts: new Float64Array(days.length),
  };
  const [own, other] = [scoresOf(group.results, engine), scoresOf(group.results, baseline)];
  for (const [i, result] of group.results.entries()) {
    const day = place.get(dayOf(result))!;
    sums.engine[day]! += own[i]!.total;
    sums.baseline[day]! += other[i]!.total;
    sums.prompts[day]! += 1;
  }
  return sums;
}

/** Ratio of the weighted sums of the assets' means over the drawn days; an asset that no drawn day has is left out. */
function ratioOf(assets: readonly DailySums[], drawn: Uint32Array): number {
  let numerator = 0;
  let denominator = 0;
  for (const { weight, engine, baseline, prompts } of assets) {
    let [own, other, count] = [0, 0, 0];
    for (const day of drawn) {
      own += engine[day]!;
      other += baseline[day]!;
      count += prompts[day]!;
    }
    if (count === 0) continue;
    numerator += (weight * own) / count;
    denominator += (weight * other) / count;
  }
  return numerator / denominator;
}

function startsInSession({ prompt: { start } }: PromptResult): boolean {
  return usSessionShare(start, start + 60) === 1;
}

/** Terciles of the volatility that was known at the origin (ties go by time), weekdays by UTC, sessions of the US exchanges at the start. */
function splitsOf(results: readonly PromptResult[]): Map<Split, readonly PromptResult[]> {
  const ranked = results
    .filter(({ sigmaAtOrigin }) => sigmaAtOrigin !== null)
    .sort((a, b) => a.sigmaAtOrigin! - b.sigmaAtOrigin!);
  const third = (part: number): PromptResult[] =>
    ranked.slice(Math.round((part * ranked.length) / 3), Math.round(((part + 1) * ranked.length) / 3));
  // 1970-01-01 was a Thursday.
  const isWeekend = (result: PromptResult): boolean => ((dayOf(result) + 4) % 7) % 6 === 0;
  return new Map<Split, readonly PromptResult[]>([
    ["volatility_low", third(0)],
    ["volatility_middle", third(1)],
    ["volatility_high", third(2)],
    ["weekday", results.filter((result) => !isWeekend(result))],
    ["weekend", results.filter(isWeekend)],
    ["us_session", results.filter(startsInSession)],
    ["us_closed", results.filter((result) => !startsInSession(result))],
  ]);
}

/** Over the assets of each horizon: means weighted by the leaderboard's coefficients, ratios of those. */
export function totalsOf(results: readonly PromptResult[], options: { readonly seed: number }): ReportTotal[] {
  return [...Map.groupBy(groupsOf(results), ({ horizon }) => horizon)].flatMap(([horizon, groups]) => {
    // After an interruption one asset may lack the oracle; a total holds what all assets have.
    const engines = groups[0]!.engines.filter((engine) => groups.every((group) => group.engines.includes(engine)));
    const days = [...new Set(groups.flatMap((group) => group.results.map(dayOf)))].sort((a, b) => a - b);
    return engines.map((engine): ReportTotal => {
      const weights = groups.map(({ asset }) => ASSETS[asset].coefficient);
      const means = groups.map((group) => meanTotal(group.results, engine)!);
      const weighted = means.reduce((sum, value, i) => sum + weights[i]! * value, 0);
      return {
        horizon,
        engine,
        isBaseline: isBaseline(engine),
        assets: groups.map(({ asset }) => asset),
        prompts: groups.reduce((sum, group) => sum + group.results.length, 0),
        weightedScore: weighted / weights.reduce((sum, weight) => sum + weight, 0),
        comparisons: BASELINE_NAMES.filter((name) => name !== engine && engines.includes(name)).map((baseline) => {
          const sums = groups.map((group) => dailySums(group, { engine, baseline, days }));
          const every = Uint32Array.from(days.keys());
          const interval = bootstrapInterval(days.length, (drawn) => ratioOf(sums, drawn), {
            draws: BOOTSTRAP_DRAWS,
            seed: `bootstrap ${options.seed} ${horizon}`,
          });
          const prompts = groups.reduce((sum, group) => sum + group.results.length, 0);
          const value = ratioOf(sums, every);
          return {
            baseline,
            prompts,
            ratio: Number.isFinite(value) ? value : null,
            ratioLow: interval?.low ?? null,
            ratioHigh: interval?.high ?? null,
          };
        }),
      };
    });
  });
}
