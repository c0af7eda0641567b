import type { AssetSymbol } from "../market/assets.ts";
import { SECONDS_PER_DAY, SECONDS_PER_HOUR } from "../units.ts";
import { baselineEngine } from "./baseline.ts";
import type { EngineName, ForecastRequest, HandOver, MarketSnapshot, Prepared } from "./engine.ts";
import { createEwmaEngine, type EwmaChoices } from "./ewma/ewma.ts";
import type { EngineInput, ForecastTask } from "./task.ts";
import { untrainedEngine } from "./untrained.ts";

export type HorizonClass = "1h" | "24h";

/** The prompts of the subnet are 1 h and 24 h; any other horizon goes with the one it is nearer to by ratio. */
const CLASS_BORDER_SECONDS = Math.sqrt(SECONDS_PER_HOUR * SECONDS_PER_DAY);

export function horizonClass(horizonSeconds: number): HorizonClass {
  return horizonSeconds < CLASS_BORDER_SECONDS ? "1h" : "24h";
}

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

export function createEngines(choices: { readonly ewma: Readonly<Record<AssetSymbol, EwmaChoices>> }): Engines {
  return {
    patchtst: untrainedEngine("patchtst"),
    lgbm: untrainedEngine("lgbm"),
    ewma: createEwmaEngine(choices.ewma),
    baseline: baselineEngine,
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
