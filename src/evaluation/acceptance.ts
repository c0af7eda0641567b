import type { Config } from "../config/schema.ts";
import type { ForecastRequest } from "../engines/engine.ts";
import { runForecast, simulatePaths } from "../engines/forecast.ts";
import { openEngines } from "../engines/load.ts";
import { lgbmModel } from "../engines/lgbm/lgbm.ts";
import { modelPath, readManifest, type ModelEntry, type ModelKind } from "../engines/models/manifest.ts";
import { patchTstModel } from "../engines/patchtst/patchtst.ts";
import type { PathModel } from "../engines/path-model.ts";
import { releasePaths } from "../engines/path-buffer.ts";
import { whenReady, type Engines } from "../engines/route.ts";
import type { EngineInput } from "../engines/task.ts";
import { describeError } from "../errors.ts";
import { CandleGenerator } from "../feeds/recorded/generator.ts";
import type { AssetSymbol } from "../market/assets.ts";
import { MINUTE_STEP_SECONDS } from "../market/candle.ts";
import { quantile } from "../scoring/leaderboard.ts";
import { SECONDS_PER_DAY, unixSeconds } from "../units.ts";
import { advance, startState } from "../volatility/advance.ts";
import { newestCandle, type VolatilityState } from "../volatility/state.ts";
import { advanceOptionsOf, type BacktestSettings } from "./backtest/origin.ts";
import { HORIZONS } from "./backtest/prompts.ts";
import { factsOf, type PathFacts } from "./path-facts.ts";

export interface AcceptanceOptions {
  readonly config: Config;
  readonly settings: BacktestSettings;
  /** As seen from the package, or absolute. */
  readonly manifestFile: string;
  /** Longest median of inference, sampling and encoding of a prompt of 1000 paths, without rank matching; null: the engine's own. */
  readonly budgetMs: number | null;
  readonly signal: AbortSignal;
}

/** One model on one asset. */
export interface AcceptanceRow {
  readonly model: string;
  readonly asset: AssetSymbol;
  /** Null where it did not answer. */
  readonly facts: PathFacts | null;
  readonly medianMs: number | null;
  /** Of the inference alone: from features to path model. */
  readonly inferenceMs: number | null;
  /** Empty: accepted. */
  readonly failures: readonly string[];
}

/** A whole warm-up, and what a state keeps. */
const HISTORY_SECONDS = 8 * SECONDS_PER_DAY;
/** A Wednesday, 14:03 UTC: inside the session, on no round five minutes. */
const REQUEST_TIME = Date.parse("2026-03-04T14:03:00Z") / 1000;
const PATHS = 1000;
const WARM_UP_RUNS = 2;
const TIMED_RUNS = 9;
const BUDGET_MS: Readonly<Record<ModelKind, number>> = { patchtst: 150, lgbm: 120 };
/** Standard errors: under two in a hundred thousand of sound models are refused by the mean of an asset's paths. */
const MAX_MEAN_Z = 4.5;
/** Clustering and tails have to stand out of the noise of a thousand paths. */
const MIN_Z = 3;

/**
 * Asks every model of the manifest about every asset it serves, on states of a generated market, as an axon would: through the
 * checks of its files, its golden pairs and the engine. Throws OperationalError `model/not_installed`, `model/corrupt` (the
 * manifest).
 */
export async function* acceptModels(options: AcceptanceOptions): AsyncGenerator<AcceptanceRow> {
  const { config, manifestFile, signal } = options;
  const manifest = readManifest(modelPath(manifestFile));
  const problems: string[] = [];
  const engines = openEngines(
    { engines: { ...config.engines, rankMatching: false } },
    (problem) => problems.push(problem),
    null,
    { manifest: manifestFile },
  );
  await whenReady(engines);
  for (const [model, entry] of Object.entries(manifest.models)) {
    for (const asset of entry.assets) {
      if (signal.aborted) return;
      // What is wrong with the model itself is why it handed over.
      const others = problems.filter((problem) => !problem.startsWith("model/"));
      const row = await accept(asset, entry, { ...options, engines });
      yield { model, asset, ...row, failures: [...row.failures, ...(row.facts === null ? others : [])] };
    }
  }
}

async function accept(
  asset: AssetSymbol,
  entry: ModelEntry,
  { settings, budgetMs, engines }: AcceptanceOptions & { readonly engines: Engines },
): Promise<Omit<AcceptanceRow, "model" | "asset">> {
  const none = { facts: null, medianMs: null, inferenceMs: null };
  const state = stateOf(asset, settings);
  const request: ForecastRequest = {
    asset,
    startTime: unixSeconds(REQUEST_TIME + 60),
    horizonSeconds: HORIZONS[entry.horizon].horizonSeconds,
    stepSeconds: entry.stepSeconds,
    numSimulations: PATHS,
    seed: `acceptance ${asset}`,
  };
  const newest = newestCandle(state)!;
  const ageSeconds = REQUEST_TIME - newest.openTime - MINUTE_STEP_SECONDS;
  const prepared = engines[entry.kind].prepare(request, {
    asset,
    volatility: { status: "ok", state, ageSeconds, identity: "acceptance" },
    anchor: { price: newest.close, source: "last_close", ageSeconds },
  });
  if (!prepared.ok) return { ...none, failures: [`${prepared.handOver.code}: ${prepared.handOver.message}`] };
  try {
    const { input } = prepared;
    const { centre = [] } = await correctedModelOf(request, input);
    const paths = await simulatePaths(request, input);
    const facts = factsOf(
      paths,
      PATHS,
      centre.reduce((sum, drift) => sum + drift, 0),
    );
    releasePaths(paths);
    const inferenceMs = await medianTime(async () => {
      const startMs = performance.now();
      await correctedModelOf(request, input);
      return performance.now() - startMs;
    });
    const medianMs = await medianTime(async () => {
      const { simulateMs, encodeMs } = await runForecast({ request, inputs: [input] });
      return simulateMs + encodeMs;
    });
    const failures = failuresOf(facts, { medianMs, budgetMs: budgetMs ?? BUDGET_MS[entry.kind] });
    return { facts, medianMs, inferenceMs, failures };
  } catch (error) {
    return { ...none, failures: [describeError(error)] };
  }
}

/** As the updater would have it of a generated market. */
function stateOf(asset: AssetSymbol, settings: BacktestSettings): VolatilityState {
  const options = advanceOptionsOf(asset, settings);
  const start = startState({ asset, source: options.source, ...settings.ewma[asset] });
  const candles = new CandleGenerator({ seed: settings.seed, asset }).range(
    REQUEST_TIME - HISTORY_SECONDS,
    REQUEST_TIME - MINUTE_STEP_SECONDS,
  );
  return advance(start, candles, options);
}

/** What the paths of a trained engine's input are drawn from. */
function correctedModelOf(request: ForecastRequest, input: EngineInput): Promise<PathModel> {
  switch (input.engine) {
    case "patchtst":
      return patchTstModel(request, input);
    case "lgbm":
      return lgbmModel(request, input);
    case "ewma":
    case "baseline":
      throw new RangeError(`expected the input of a trained engine, was that of ${input.engine}`);
  }
}

async function medianTime(timed: () => Promise<number>): Promise<number> {
  const times: number[] = [];
  for (let run = -WARM_UP_RUNS; run < TIMED_RUNS; run++) {
    const ms = await timed();
    if (run >= 0) times.push(ms);
  }
  return quantile(times, 0.5);
}

export function failuresOf(
  facts: PathFacts,
  { medianMs, budgetMs }: { readonly medianMs: number; readonly budgetMs: number },
): string[] {
  const { isSound, meanZ, clusteringZ, kurtosisZ } = facts;
  return [
    ...(isSound ? [] : ["prices that are not positive and finite"]),
    ...(Math.abs(meanZ) <= MAX_MEAN_Z ? [] : [`mean ${meanZ.toFixed(1)} standard errors from zero`]),
    ...(clusteringZ >= MIN_Z ? [] : ["volatility does not cluster beyond noise"]),
    ...(kurtosisZ >= MIN_Z ? [] : ["tails no fatter than Gaussian beyond noise"]),
    ...(medianMs <= budgetMs ? [] : [`median ${medianMs.toFixed(0)} ms above ${budgetMs} ms`]),
  ];
}
