/**
 * Milliseconds of one 24h prompt (1000 paths of 289 points): simulation by EWMA, encoding, both, and the same through
 * the worker pool. Run: node test/bench/encode.bench.ts
 */
import { runForecast } from "../../src/engines/forecast.ts";
import { createSimulationPool } from "../../src/engines/pool.ts";
import type { ForecastTask } from "../../src/engines/task.ts";
import { ewmaInput, forecastRequest } from "../support/forecast-inputs.ts";

const RUNS = 30;
const WARM_UP_RUNS = 5;

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

function task(run: number): ForecastTask {
  return { request: forecastRequest({ seed: `bench ${run}` }), inputs: [ewmaInput({ nu: 5.5, rankMatched: true })] };
}

const simulate: number[] = [];
const encode: number[] = [];
const both: number[] = [];
for (let run = -WARM_UP_RUNS; run < RUNS; run++) {
  const result = await runForecast(task(run));
  if (run < 0) continue;
  simulate.push(result.simulateMs);
  encode.push(result.encodeMs);
  both.push(result.simulateMs + result.encodeMs);
}

const startMs = performance.now();
const pool = await createSimulationPool({ threads: 2, simulationTimeoutMs: 10_000 });
const startedMs = performance.now() - startMs;
const pooled: number[] = [];
for (let run = 0; run < RUNS; run++) {
  const sentMs = performance.now();
  await pool.simulate(task(run));
  pooled.push(performance.now() - sentMs);
}
await pool.close();

const row = (name: string, ms: number): string => `${name.padEnd(28)} ${ms.toFixed(1)} ms\n`;
process.stdout.write(
  `median of ${RUNS}, 1000 paths x 289 points, node ${process.version}\n` +
    row("simulate (EWMA, t 5.5)", median(simulate)) +
    row("encode, checksums, digest", median(encode)) +
    row("simulate + encode", median(both)) +
    row("through the pool", median(pooled)) +
    row("pool start (2 threads, once)", startedMs),
);
