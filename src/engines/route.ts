import { createBaselineEngine } from "./baseline.ts";
import {
  ENGINE_NAMES,
  type EngineName,
  type ForecastRequest,
  type HandOver,
  type MarketSnapshot,
  type Prepared,
} from "./engine.ts";
import { createEwmaEngine, type EwmaDeps } from "./ewma/ewma.ts";
import { createLgbmEngine, type LgbmChoices } from "./lgbm/lgbm.ts";
import type { ModelSource } from "./models/source.ts";
import { createPatchTstEngine } from "./patchtst/patchtst.ts";
import type { RecalibrationSource } from "./recalibration.ts";
import { horizonClass } from "./horizon.ts";
import type { Row, Routes } from "./routing.ts";
import type { EngineInput, ForecastTask } from "./task.ts";
import { untrainedEngine } from "./untrained.ts";

/**
 * Engines in the order they are asked. PatchTST leads wherever its training will be pooled over the assets. LightGBM's
 * gain (a residual on the log-scale and a centre shrunk to zero) is measured at a day only: it stands in for PatchTST
 * there and has no row at an hour. Then the EWMA, and always the baseline at last.
 */
const HOUR: Row = ["patchtst", "ewma", "baseline"];
const DAY: Row = ["patchtst", "lgbm", "ewma", "baseline"];

/** The built-in route table. A backtest that prefers others for an asset and horizon says so in models/routing.json. */
export const ROUTES: Routes = {
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
  /** Where an engine has models to check before it answers; absent: it is ready. */
  whenReady?(): Promise<void>;
}

export interface Engines extends Readonly<Record<EngineName, Preparer>> {
  /** In whose order they are asked; absent: the built-in table's. */
  readonly routes?: Routes | undefined;
}

/** When every engine that has something to check has checked it. */
export async function whenReady(engines: Engines): Promise<void> {
  for (const name of ENGINE_NAMES) await engines[name].whenReady?.();
}

/** Everything that engines need besides a request and a snapshot. */
export interface EngineDeps extends EwmaDeps {
  /** Absent: the built-in route table. */
  readonly routes?: Routes | undefined;
  /** Absent: no trained network. */
  readonly patchtst?: TrainedDeps | undefined;
  /** Absent: no trained trees. */
  readonly lgbm?: (TrainedDeps & { readonly choices: LgbmChoices }) | undefined;
}

interface TrainedDeps {
  readonly models: ModelSource;
  readonly recalibration: RecalibrationSource | null;
}

export function createEngines(deps: EngineDeps): Engines {
  return {
    patchtst: patchtstOf(deps),
    lgbm: lgbmOf(deps),
    ewma: createEwmaEngine(deps),
    baseline: createBaselineEngine(deps),
    routes: deps.routes,
  };
}

function patchtstOf({ patchtst, ...ewma }: EngineDeps): Preparer {
  if (patchtst === undefined) return untrainedEngine("patchtst");
  return { ...createPatchTstEngine({ ...patchtst, ewma }), whenReady: () => patchtst.models.whenReady() };
}

function lgbmOf({ lgbm, ...ewma }: EngineDeps): Preparer {
  if (lgbm === undefined) return untrainedEngine("lgbm");
  return { ...createLgbmEngine({ ...lgbm, ewma }), whenReady: () => lgbm.models.whenReady() };
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
  for (const name of (engines.routes ?? ROUTES)[request.asset][horizonClass(request.horizonSeconds)]) {
    const prepared = engines[name].prepare(request, snapshot);
    if (prepared.ok) inputs.push(prepared.input);
    else handOvers.push(prepared.handOver);
  }
  return { task: { request, inputs }, handOvers };
}
