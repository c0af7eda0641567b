import { move, transferableSymbol, valueSymbol } from "piscina";
import { unixSeconds } from "../units.ts";
import { encodeSimulation } from "./encode.ts";
import type { ForecastRequest } from "./engine.ts";
import { tryForecast } from "./forecast.ts";
import { releasePaths } from "./path-buffer.ts";
import { simulatePathModel } from "./paths/simulate.ts";
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
  const paths = simulatePathModel(WARM_UP_REQUEST, {
    anchorPrice: 100_000,
    stepSigmas: new Array<number>(288).fill(0.001),
    nu: 5.5,
    latent: { tau: 0.3, halfLifeSeconds: 7200 },
    varianceRatios: [
      { seconds: 1800, ratio: 0.95 },
      { seconds: 10_800, ratio: 0.9 },
      { seconds: 86_400, ratio: 0.9 },
    ],
    zeroShare: 0,
    rankMatched: true,
  });
  encodeSimulation(WARM_UP_REQUEST, paths);
  releasePaths(paths);
}

/** Moves the result's buffers out of the thread instead of copying them. */
function transfer(result: ForecastResult): unknown {
  return move({
    [transferableSymbol]: [result.simulationOutput.buffer, result.pathChecksums.buffer],
    [valueSymbol]: result,
  });
}

export async function simulate(task: ForecastTask): Promise<unknown> {
  const outcome = await tryForecast(task);
  return "failed" in outcome ? outcome : transfer(outcome);
}
