import { existsSync } from "node:fs";
import { ENGINE_NAMES, type EngineName } from "../../engines/engine.ts";
import type { ModelEntry } from "../../engines/models/manifest.ts";
import { readRouting, type RoutingCell, type RoutingFile } from "../../engines/routing.ts";
import { ASSET_SYMBOLS } from "../../market/assets.ts";
import { SECONDS_PER_DAY } from "../../units.ts";
import { BOOTSTRAP_DRAWS } from "./aggregate.ts";
import type { BacktestReport, ReportPrompt } from "./report.ts";
import { bootstrapInterval } from "./stats.ts";

type Evidence = RoutingCell["evidence"][number];

/** What every engine has to beat, and what answers where none does. */
const INCUMBENT = "ewma";
/** Fewer prompts prove nothing, whatever their interval. */
const MIN_PROMPTS = 90;

/**
 * The file's table with the report's assets and horizons in place of what it said of them. An engine leads where the whole 95 %
 * interval of its mean score over the EWMA engine's, on the same prompts, lies below one; several by their ratios.
 */
export function proposeRouting(before: RoutingFile, report: BacktestReport): RoutingFile {
  const routes = { ...before.routes };
  const groups = Map.groupBy(report.prompts, ({ asset, horizon }) => `${asset} ${horizon}`);
  for (const prompts of groups.values()) {
    const { asset, horizon } = prompts[0]!;
    const cell = cellOf(prompts, routes[asset]?.[horizon], report.metadata);
    if (cell !== null) routes[asset] = { ...routes[asset], [horizon]: cell };
  }
  return { schema: 1, routes };
}

/** The prompts that prove something: they start after what the EWMA engine and the models of their asset and horizon were fitted on. */
export function unseenPrompts(
  prompts: readonly ReportPrompt[],
  { fittedTo, models }: { readonly fittedTo: number | null; readonly models: readonly ModelEntry[] },
): ReportPrompt[] {
  return prompts.filter(({ asset, horizon, start }) => {
    const own = models.filter((entry) => entry.horizon === horizon && entry.assets.some((name) => name === asset));
    const seenTo = own.map(({ trainingWindow }) => Date.parse(trainingWindow.to) / 1000);
    return Date.parse(start) / 1000 >= Math.max(fittedTo ?? -Infinity, ...seenTo);
  });
}

/**
 * The table to add to; where the file is not there yet, one in which nothing is proven: no trained engine leads on an asset
 * that nobody has measured it on. Throws OperationalError `routing/…`.
 */
export function readRoutingOrBegin(path: string): RoutingFile {
  if (existsSync(path)) return readRouting(path);
  const unproven: RoutingCell = { order: [INCUMBENT, "baseline"], evidence: [], commandLine: "not measured" };
  return {
    schema: 1,
    routes: Object.fromEntries(ASSET_SYMBOLS.map((asset) => [asset, { "1h": unproven, "24h": unproven }])),
  };
}

function cellOf(
  prompts: readonly ReportPrompt[],
  known: RoutingCell | undefined,
  { seed, commandLine }: BacktestReport["metadata"],
): RoutingCell | null {
  const { asset, horizon } = prompts[0]!;
  const byEngine = Map.groupBy(prompts, ({ engine }) => engine);
  const incumbent = byEngine.get(INCUMBENT);
  if (incumbent === undefined) return null;
  const evidence = ENGINE_NAMES.flatMap((engine): Evidence[] => {
    const own = byEngine.get(engine);
    if (engine === INCUMBENT) return [];
    // Engines that were not asked keep what was shown of them.
    if (own === undefined) return known?.evidence.filter((one) => one.engine === engine) ?? [];
    return [{ engine, ...compare(own, incumbent, `routing ${seed} ${asset} ${horizon}`) }];
  });
  const isAhead = ({ engine, prompts: count, high }: Evidence): boolean =>
    engine !== "baseline" && count >= MIN_PROMPTS && high !== null && high < 1;
  const leaders = evidence.filter(isAhead).sort((a, b) => a.ratio! - b.ratio!);
  const order: EngineName[] = [...leaders.map(({ engine }) => engine), INCUMBENT, "baseline"];
  return { order, evidence, commandLine };
}

/** Ratio of mean scores on the prompts of both; interval by a bootstrap of days (UTC) of start times. */
function compare(own: readonly ReportPrompt[], other: readonly ReportPrompt[], seed: string): Omit<Evidence, "engine"> {
  const theirs = new Map(other.map(({ start, total }) => [start, total]));
  const days = new Map<number, { own: number; other: number }>();
  let prompts = 0;
  for (const { start, total } of own) {
    const paired = theirs.get(start);
    if (paired === undefined) continue;
    const day = Math.floor(Date.parse(start) / 1000 / SECONDS_PER_DAY);
    const sums = days.get(day) ?? { own: 0, other: 0 };
    days.set(day, { own: sums.own + total, other: sums.other + paired });
    prompts++;
  }
  const sums = [...days.values()];
  const ratioOf = (drawn: Iterable<number>): number => {
    let [numerator, denominator] = [0, 0];
    for (const day of drawn) {
      numerator += sums[day]!.own;
      denominator += sums[day]!.other;
    }
    return numerator / denominator;
  };
  const ratio = ratioOf(sums.keys());
  const interval = bootstrapInterval(sums.length, ratioOf, { draws: BOOTSTRAP_DRAWS, seed });
  return {
    prompts,
    ratio: Number.isFinite(ratio) ? ratio : null,
    low: interval?.low ?? null,
    high: interval?.high ?? null,
  };
}
