import { move, transferableSymbol, valueSymbol } from "piscina";
import { unixSeconds } from "../units.ts";
import { encodeSimulation } from "./encode.ts";
import type { ForecastRequest } from "./engine.ts";
import { simulateEwma } from "./ewma/paths.ts";
import { runForecast } from "./forecast.ts";
import type { ForecastResult, ForecastTask } from "./task.ts";

/** Entry of a simulation thread: `simulate` is what the pool calls. */

/** Full-size prompts that a new thread answers to itself, until V8 has compiled the kernels for good. */
const WARM_UP_RUNS = 2;
const WARM_UP_REQUEST: ForecastRequest = {
  asset: "BTC",
  startTime: unixSeconds(1_760_000_000),
  horizonSeconds: 86_400,
  stepSeconds: 300,
  numSimulations: 1000,
  seed: "warm-up",
};

// Synchronous, because piscina first requires its file, and a module that awaits cannot be required.
for (let run = 0; run < WARM_UP_RUNS; run++) {
  const paths = simulateEwma(WARM_UP_REQUEST, {
    engine: "ewma",
    anchorPrice: 100_000,
    sigma2PerStep: 1e-6,
    nu: 5.5,
    pathFeedback: 0.02,
    offHoursMultiplier: 0.6,
    clamped: null,
  });
  encodeSimulation(WARM_UP_REQUEST, paths);
}

/** Moves the result's buffers out of the thread instead of copying them. */
function transfer(result: ForecastResult): unknown {
  return move({
    [transferableSymbol]: [result.simulationOutput.buffer, result.pathChecksums.buffer],
    [valueSymbol]: result,
  });
}

export async function simulate(task: ForecastTask): Promise<unknown> {
  return transfer(await runForecast(task));
}
