import { describeError, OperationalError } from "../errors.ts";
import { BASELINE_VERSION, simulateBaseline } from "./baseline.ts";
import { encodeSimulation } from "./encode.ts";
import type { EngineName, ForecastRequest, HandOver } from "./engine.ts";
import { EWMA_VERSION } from "./ewma/ewma.ts";
import { LGBM_VERSION, simulateLgbm } from "./lgbm/lgbm.ts";
import { PATCHTST_VERSION, simulatePatchTst } from "./patchtst/patchtst.ts";
import { releasePaths } from "./path-buffer.ts";
import { simulatePathModel } from "./paths/simulate.ts";
import type { EngineInput, ForecastResult, ForecastTask } from "./task.ts";

/** Prices of one prepared input, row-major [path, point]. The same function live, in a replay and in a backtest. */
export function simulatePaths(request: ForecastRequest, input: EngineInput): Float64Array | Promise<Float64Array> {
  switch (input.engine) {
    case "patchtst":
      return simulatePatchTst(request, input);
    case "lgbm":
      return simulateLgbm(request, input);
    case "ewma":
      return simulatePathModel(request, input.model);
    case "baseline":
      return simulateBaseline(request, input);
  }
}

export const ENGINE_VERSIONS = {
  patchtst: PATCHTST_VERSION,
  lgbm: LGBM_VERSION,
  ewma: EWMA_VERSION,
  baseline: BASELINE_VERSION,
} as const satisfies Record<EngineName, number>;

export function handOverFrom(input: EngineInput, error: unknown): HandOver {
  const code = error instanceof OperationalError ? error.code : "engine/failed";
  return { engine: input.engine, code, message: describeError(error) };
}

async function runInput(request: ForecastRequest, input: EngineInput): Promise<Omit<ForecastResult, "handOvers">> {
  const startMs = performance.now();
  const paths = await simulatePaths(request, input);
  const simulatedMs = performance.now();
  const encoded = encodeSimulation(request, paths);
  releasePaths(paths);
  return {
    engine: input.engine,
    engineVersion: ENGINE_VERSIONS[input.engine],
    ...encoded,
    simulateMs: simulatedMs - startMs,
    encodeMs: performance.now() - simulatedMs,
  };
}

/** A forecast, or why every engine handed over. */
export type ForecastOutcome = ForecastResult | { readonly failed: readonly HandOver[] };

/** As `runForecast`, with the failure as a value: an error that leaves a thread loses its code and details. */
export async function tryForecast(task: ForecastTask): Promise<ForecastOutcome> {
  const handOvers: HandOver[] = [];
  for (const input of task.inputs) {
    try {
      return { ...(await runInput(task.request, input)), handOvers };
    } catch (error) {
      handOvers.push(handOverFrom(input, error));
    }
  }
  return { failed: handOvers };
}

export function allFailed(handOvers: readonly HandOver[]): OperationalError {
  return new OperationalError("engine/all_failed", `no engine could answer: ${JSON.stringify(handOvers)}`, {
    details: { handOvers },
  });
}

/**
 * A whole forecast: the inputs in route order until one simulates prices that can be encoded. A function of the task
 * (but for the timings). Throws OperationalError `engine/all_failed` with the hand-overs when none does.
 */
export async function runForecast(task: ForecastTask): Promise<ForecastResult> {
  const outcome = await tryForecast(task);
  if ("failed" in outcome) throw allFailed(outcome.failed);
  return outcome;
}
