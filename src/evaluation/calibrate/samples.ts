import { knowledgeOf, profileOf, referenceSigma, weeklyFactor, type ScaleBasis } from "../../engines/ewma/scale.ts";
import { ASSETS, type AssetSymbol } from "../../market/assets.ts";
import { SECONDS_PER_DAY } from "../../units.ts";
import { weightAt } from "../../volatility/seasonality.ts";
import type { SeasonalityStats } from "../../volatility/state.ts";
import { closedCandles, realisedPrices, sourcesOf, spanOf } from "../backtest/data.ts";
import { advanceOptionsOf, originsOf, type BacktestSettings, type Origin } from "../backtest/origin.ts";
import { planPrompts, type Chunk } from "../backtest/plan.ts";
import { HORIZONS, rollingPrompts } from "../backtest/prompts.ts";
import type { Horizon } from "../backtest/report.ts";
import { advance, startState } from "../../volatility/advance.ts";
import type { ScaleSamples } from "./fit-types.ts";

/** Which prompts of an asset are walked through, on which candles. */
export interface OriginOptions {
  readonly dirs: readonly string[];
  readonly horizon: Horizon;
  /** Unix seconds; start times of the prompts, their horizons included. */
  readonly from: number;
  readonly to: number;
  readonly strideSeconds: number;
  readonly minObserved: number;
  readonly settings: BacktestSettings;
}

/** What the samples of one asset are taken from. */
export interface SampleOptions extends OriginOptions {
  readonly basis: ScaleBasis;
}

/** Candles before the first origin that may count; all that is there of the recordings. */
const HISTORY_SECONDS = 500 * SECONDS_PER_DAY;
/** Observations per five minutes of the week before a profile is worth fitting on: fewer weeks are noise. */
const MIN_PROFILE_WEEKS = 3;
/** One resolution per horizon: the runs of two would overlap, and the rhythm of one leak into the past of the other. */
const SAMPLE_RESOLUTION = { "1h": "1m", "24h": "5m" } as const;
/** A month of candles at a time bounds memory. */
const PART_SECONDS = 30 * SECONDS_PER_DAY;

/**
 * Prompts of an asset as the engine would have seen them, with what happened: the state is advanced by the live code
 * through each run of one instrument, the weekly rhythm carried from run to run, and nothing of a prompt's own future is
 * in its features or its profile.
 */
export function collectSamples(
  asset: AssetSymbol,
  options: SampleOptions,
  onProgress: (done: number, total: number) => void = () => undefined,
): ScaleSamples {
  const rows: Row[] = [];
  for (const { chunk, origin } of observedOrigins(asset, options, onProgress)) {
    const row = rowOf(chunk, origin, options);
    if (row !== null) rows.push(row);
  }
  return join(asset, rows, options);
}

/** The origins of `collectSamples`, in order of time within each run, with the run that each lies in. */
export function* observedOrigins(
  asset: AssetSymbol,
  options: OriginOptions,
  onProgress: (done: number, total: number) => void = () => undefined,
): Generator<{ readonly chunk: Chunk; readonly origin: Origin }> {
  const plan = planPrompts(rollingPrompts([asset], options), {
    dirs: options.dirs,
    minObserved: options.minObserved,
    resolution: SAMPLE_RESOLUTION[options.horizon],
    historySeconds: HISTORY_SECONDS,
    chunkPoints: Infinity,
  });
  const total = plan.chunks.reduce((sum, { starts }) => sum + starts.length, 0);
  let carried: SeasonalityStats | undefined;
  let done = 0;
  for (const chunk of plan.chunks) {
    const seed = seasonalityBefore(chunk, options, carried);
    for (const origin of originsOf(chunk, options.settings, seed)) {
      carried = origin.state.seasonality;
      yield { chunk, origin };
      onProgress(++done, total);
    }
  }
}

/**
 * The rhythm known when a run begins: of the runs before it, or of the longer recordings of five-minute bars, which tell
 * more of the week than a few weeks of minutes do.
 */
function seasonalityBefore(
  chunk: Chunk,
  { dirs, settings }: OriginOptions,
  carried: SeasonalityStats | undefined,
): SeasonalityStats | undefined {
  if (chunk.source.resolution === "5m") return carried;
  const longRun = sourcesOf(chunk.asset, dirs).find(({ resolution }) => resolution === "5m");
  if (longRun === undefined) return carried;
  const week = longRunSeasonality(chunk.asset, { source: longRun, settings, to: chunk.historyFrom });
  if (carried === undefined) return week;
  const { minuteSum, minuteWeight, levelMinute } = carried;
  return { ...week, minuteSum, minuteWeight, levelMinute };
}

/** The rhythm that the live code learns from all candles of a source that close by `to` (unix seconds). */
export function longRunSeasonality(
  asset: AssetSymbol,
  from: { readonly source: Chunk["source"]; readonly settings: BacktestSettings; readonly to: number },
): SeasonalityStats {
  const { source, settings } = from;
  const options = advanceOptionsOf(asset, settings);
  let state = startState({ asset, source: options.source, ...settings.ewma[asset] });
  const span = spanOf(source);
  const end = Math.min(from.to, span?.to ?? -Infinity);
  for (let part = (span?.from ?? 0) - 1; part < end; part += PART_SECONDS) {
    state = advance(state, closedCandles(source, part, Math.min(part + PART_SECONDS, end)), options);
  }
  return state.seasonality;
}

interface Row {
  readonly start: number;
  readonly features: readonly number[];
  readonly logSeasonal: Float64Array;
  readonly logPrices: Float64Array;
}

function rowOf(chunk: Chunk, { request, state }: Origin, { basis, settings }: SampleOptions): Row | null {
  const { asset, startTime, stepSeconds, horizonSeconds } = request;
  const { offHoursMultiplier } = settings.ewma[asset];
  if (basis.seasonal && !isLearned(state.seasonality)) return null;
  const knowledge = knowledgeOf(state, basis, {
    weekly: profileOf(state, null, offHoursMultiplier),
    offHoursMultiplier,
  });
  if ("code" in knowledge) return null;
  const steps = horizonSeconds / stepSeconds;
  const reference = referenceSigma(asset, stepSeconds);
  const logSeasonal = Float64Array.from({ length: steps }, (_, step) =>
    Math.log(
      reference * weeklyFactor(knowledge.profile, startTime + step * stepSeconds, { stepSeconds, offHoursMultiplier }),
    ),
  );
  const realised = realisedPrices(chunk.source, { start: startTime, stepSeconds, points: steps + 1 });
  return { start: startTime, features: knowledge.features, logSeasonal, logPrices: realised.map(Math.log) };
}

/** Weeks that the best-known bins of the week have seen, faded. */
function isLearned({ weekWeight, until }: SeasonalityStats): boolean {
  const seen = weekWeight.filter((weight) => weight > 0).sort();
  const typical = seen[Math.floor(seen.length / 2)] ?? 0;
  return typical / weightAt(until) >= MIN_PROFILE_WEEKS;
}

function join(asset: AssetSymbol, rows: readonly Row[], { horizon, basis }: SampleOptions): ScaleSamples {
  const { horizonSeconds, stepSeconds } = HORIZONS[horizon];
  const featureCount = basis.halfLifeSeconds.length;
  const flatten = (width: number, values: (row: Row) => ArrayLike<number>): Float64Array => {
    const joined = new Float64Array(rows.length * width);
    rows.forEach((row, i) => {
      joined.set(values(row), i * width);
    });
    return joined;
  };
  const steps = horizonSeconds / stepSeconds;
  return {
    asset,
    assetClass: ASSETS[asset].assetClass,
    horizonSeconds,
    stepSeconds,
    featureCount,
    count: rows.length,
    startTimes: flatten(1, ({ start }) => [start]),
    features: flatten(featureCount, ({ features }) => features),
    logSeasonal: flatten(steps, ({ logSeasonal }) => logSeasonal),
    logPrices: flatten(steps + 1, ({ logPrices }) => logPrices),
  };
}
