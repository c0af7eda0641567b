import type { AssetSymbol } from "../market/assets.ts";
import { createBaselineEngine } from "./baseline.ts";
import type { EngineName, ForecastRequest, HandOver, MarketSnapshot, Prepared } from "./engine.ts";
import { createEwmaEngine, type EwmaDeps } from "./ewma/ewma.ts";
import { horizonClass, type HorizonClass } from "./horizon.ts";
import type { EngineInput, ForecastTask } from "./task.ts";
import { untrainedEngine } from "./untrained.ts";

type Row = readonly [...EngineName[], "baseline"];

/**
 * Engines in the order they are asked. PatchTST leads wherever its training will be pooled over the assets. LightGBM's
 * gain (a residual on the log-scale and a centre shrunk to zero) is measured at a day only: it stands in for PatchTST
 * there and has no row at an hour. Then the EWMA, and always the baseline at last.
 */
const HOUR: Row = ["patchtst", "ewma", "baseline"];
const DAY: Row = ["patchtst", "lgbm", "ewma", "baseline"];

/** THE route table. A backtest that prefers another engine for an asset and horizon changes its cell. */
export const ROUTES: Readonly<Record<AssetSymbol, Readonly<Record<HorizonClass, Row>>>> = {
  BTC: { "1h": HOUR, "24h": DAY },
  ETH: { "1h": HOUR, "24h": DAY },
  SOL: { "1h": HOUR, "24h": DAY },
  XRP: { "1h": HOUR, "24h": DAY },
  HYPE: { "1h": HOUR, "24h": DAY },
  XAU: { "1h": HOUR, "24h": DAY },
  NVDAX: { "1h": HOUR, "24h": DAY },
  GOOGLX: { "1h": HOUR, "24h": DAY },
  TSLAX: { "1h": HOUR, "24h": DAY },
  AAPLX: { "1h": HOUR, "24h": DAY },
  WTIOIL: { "1h": HOUR, "24h": DAY },
  SPCX: { "1h": HOUR, "24h": DAY },
  SP500: { "1h": HOUR, "24h": DAY },
  SPYX: { "1h": HOUR, "24h": DAY },
};

/** The half of an engine that plans: every engine has it, trained or not. */
export interface Preparer {
  prepare(request: ForecastRequest, snapshot: MarketSnapshot): Prepared<EngineInput>;
}

export type Engines = Readonly<Record<EngineName, Preparer>>;

/** Everything that engines need besides a request and a snapshot. */
export type EngineDeps = EwmaDeps;

export function createEngines(deps: EngineDeps): Engines {
  return {
    patchtst: untrainedEngine("patchtst"),
    lgbm: untrainedEngine("lgbm"),
    ewma: createEwmaEngine(deps),
    baseline: createBaselineEngine(deps),
  };
}

export interface ForecastPlan {
  readonly task: ForecastTask;
  /** Engines of the route that could not even start, in order. */
  readonly handOvers: readonly HandOver[];
}

/** Asks every engine of the route for its input. The baseline never hands over, so the task is never empty. */
export function planForecast(request: ForecastRequest, snapshot: MarketSnapshot, engines: Engines): ForecastPlan {
  const inputs: EngineInput[] = [];
  const handOvers: HandOver[] = [];
  for (const name of ROUTES[request.asset][horizonClass(request.horizonSeconds)]) {
    const prepared = engines[name].prepare(request, snapshot);
    if (prepared.ok) inputs.push(prepared.input);
    else handOvers.push(prepared.handOver);
  }
  return { task: { request, inputs }, handOvers };
}
