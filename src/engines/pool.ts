import { fileURLToPath } from "node:url";
import { Piscina } from "piscina";
import { steadyClock, type Clock } from "../clock.ts";
import { describeError, OperationalError } from "../errors.ts";
import { unixSeconds, type UnixMillis } from "../units.ts";
import { attemptMs, reservedMs } from "./attempt-time.ts";
import type { HandOver } from "./engine.ts";
import { allFailed, handOverFrom, type ForecastOutcome } from "./forecast.ts";
import type { ForecastResult, ForecastTask } from "./task.ts";

export interface SimulationPoolOptions {
  readonly threads: number;
  /** Longest time of one attempt, waiting for a thread included. */
  readonly simulationTimeoutMs: number;
  /** Of the deadlines. */
  readonly clock?: Clock;
  /** Module that exports `simulate(task)`, which resolves to a ForecastOutcome; tests put a faulty one here. */
  readonly workerFile?: string;
}

export interface SimulateOptions {
  readonly signal?: AbortSignal;
  /** When a result must be there, by the steady clock. */
  readonly deadlineMs?: UnixMillis;
}

export interface SimulationPoolStats {
  readonly completed: number;
  readonly timeouts: number;
  readonly workerFailures: number;
}

export interface SimulationPool {
  /**
   * Runs the task's rows in a worker thread, one after another until one answers: the next is tried when an engine hands
   * over, takes too long or its thread dies, and that is in `handOvers`. Part of the time is kept for the last row (the
   * baseline); a row that is left too little is passed over (`engine/timeout`). Throws OperationalError
   * `engine/all_failed` when the last row fails too, and the signal's reason when aborted.
   */
  simulate(task: ForecastTask, options?: SimulateOptions): Promise<ForecastResult>;
  stats(): SimulationPoolStats;
  /** Ends the threads at once; what still runs is rejected. */
  close(): Promise<void>;
}

/** Far beyond a second or so that loading and warming up take: a thread that hangs while loading. */
const START_TIMEOUT_MS = 30_000;
/** Tasks waiting for a thread. The axon admits fewer; this only bounds a bug. */
const MAX_QUEUE = 1024;
/** A thread's own heap needs some 20 MB; the prices lie outside it. */
const MAX_WORKER_HEAP_MB = 128;

/** The smallest task there is: a thread that answers it has loaded, and warmed itself up while loading. */
const PROBE: ForecastTask = {
  request: {
    asset: "BTC",
    startTime: unixSeconds(0),
    horizonSeconds: 1,
    stepSeconds: 1,
    numSimulations: 1,
    seed: "probe",
  },
  inputs: [{ engine: "baseline", anchorPrice: 1, sigmaPerHour: 0.01 }],
};

async function awaitStart(piscina: Piscina<ForecastTask, ForecastOutcome>, threads: number): Promise<void> {
  try {
    const signal = AbortSignal.timeout(START_TIMEOUT_MS);
    await Promise.all(Array.from({ length: threads }, () => piscina.run(PROBE, { signal })));
  } catch (error) {
    await piscina.destroy();
    throw new OperationalError("engine/pool_start", "the simulation threads did not start", { cause: error });
  }
}

/** Rejects with the signal's reason as soon as it aborts. The thread finishes its task: ending it costs more. */
async function orAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => {
    aborted.reject(signal.reason);
  };
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** Opens the pool and returns when every thread has compiled the kernels. */
export async function createSimulationPool(options: SimulationPoolOptions): Promise<SimulationPool> {
  const clock = options.clock ?? steadyClock;
  const counts = { completed: 0, timeouts: 0, workerFailures: 0 };
  const piscina = new Piscina<ForecastTask, ForecastOutcome>({
    filename: options.workerFile ?? fileURLToPath(new URL("./worker.ts", import.meta.url)),
    name: "simulate",
    minThreads: options.threads,
    maxThreads: options.threads,
    idleTimeout: Infinity,
    maxQueue: MAX_QUEUE,
    resourceLimits: { maxOldGenerationSizeMb: MAX_WORKER_HEAP_MB },
  });
  // A dying thread rejects its task, which is handled there; without a listener the event would end the process.
  piscina.on("error", () => undefined);

  async function attempt(task: ForecastTask, timeoutMs: number): Promise<ForecastOutcome> {
    if (timeoutMs <= 0) throw new OperationalError("engine/timeout", "too little time was left to try it");
    const signal = AbortSignal.timeout(Math.ceil(timeoutMs));
    try {
      const outcome = await piscina.run(task, { signal });
      if (!("failed" in outcome)) counts.completed++;
      return outcome;
    } catch (error) {
      if (signal.aborted) {
        counts.timeouts++;
        throw new OperationalError("engine/timeout", `no result within ${Math.round(timeoutMs)} ms`);
      }
      counts.workerFailures++;
      throw new OperationalError("engine/worker_failed", describeError(error));
    }
  }

  /** Row by row, so that a thread that hangs or dies leaves no doubt about the row it was in. */
  async function run(
    { request, inputs }: ForecastTask,
    { deadlineMs, signal }: SimulateOptions,
  ): Promise<ForecastResult> {
    const longestMs = options.simulationTimeoutMs;
    const leftMs = (): number => (deadlineMs ?? Infinity) - clock.nowMs();
    const reserved = reservedMs({ leftMs: leftMs(), longestMs });
    // A thread may die of something else than its row: a row that is alone is tried twice.
    const rows = inputs.length === 1 ? [...inputs, ...inputs] : inputs;
    const handOvers: HandOver[] = [];
    let threadFailed = false;
    for (const [i, input] of rows.entries()) {
      signal?.throwIfAborted();
      const rowsBehind = rows.length - 1 - i;
      const timeoutMs = attemptMs({ leftMs: leftMs(), reservedMs: reserved, longestMs, rowsBehind, threadFailed });
      try {
        const outcome = await attempt({ request, inputs: [input] }, timeoutMs);
        if (!("failed" in outcome)) return { ...outcome, handOvers };
        handOvers.push(...outcome.failed);
      } catch (error) {
        threadFailed = true;
        handOvers.push(handOverFrom(input, error));
      }
    }
    throw allFailed(handOvers);
  }

  await awaitStart(piscina, options.threads);
  return {
    simulate: (task, options = {}) => orAborted(run(task, options), options.signal),
    stats: () => ({ ...counts }),
    close: () => piscina.destroy(),
  };
}
