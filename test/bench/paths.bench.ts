/**
 * Milliseconds of one prompt by the shared path simulator: 24h (1000 × 288 steps) and 1h (1000 × 60), plain and
 * rank-matched, with variance ratios and latent volatility, and the encoding. Run: node test/bench/paths.bench.ts
 */
import { encodeSimulation } from "../../src/engines/encode.ts";
import { releasePaths } from "../../src/engines/path-buffer.ts";
import { simulatePathModel } from "../../src/engines/paths/simulate.ts";
import { forecastRequest } from "../support/forecast-inputs.ts";
import { pathModel } from "../support/path-models.ts";

const RUNS = 30;
const WARM_UP_RUNS = 8;

function medianMs(measure: (run: number) => void): string {
  const timings: number[] = [];
  for (let run = -WARM_UP_RUNS; run < RUNS; run++) {
    const startMs = performance.now();
    measure(run);
    if (run >= 0) timings.push(performance.now() - startMs);
  }
  return `${timings.sort((a, b) => a - b)[RUNS / 2]!.toFixed(1)} ms`;
}

const DAY = { horizonSeconds: 86_400, stepSeconds: 300 };
const HOUR = { horizonSeconds: 3600, stepSeconds: 60 };

function row(name: string, measure: (run: number) => void): void {
  process.stdout.write(`${name.padEnd(44)} ${medianMs(measure).padStart(9)}\n`);
}

process.stdout.write(`median of ${RUNS}, 1000 paths, node ${process.version}\n`);
for (const [name, grid] of [
  ["24h", DAY],
  ["1h", HOUR],
] as const) {
  const request = (run: number) => forecastRequest({ ...grid, seed: `bench ${run}` });
  for (const [label, changes] of [
    ["plain", { rankMatched: false }],
    ["plain, half the steps zero", { rankMatched: false, zeroShare: 0.5 }],
    ["rank-matched", { rankMatched: true }],
    ["rank-matched, half the steps zero", { rankMatched: true, zeroShare: 0.5 }],
  ] as const) {
    row(`${name} ${label}`, (run) => {
      releasePaths(simulatePathModel(request(run), pathModel(grid, changes)));
    });
  }
  row(`${name} rank-matched, encoded`, (run) => {
    const paths = simulatePathModel(request(run), pathModel(grid, { rankMatched: true }));
    encodeSimulation(request(run), paths);
    releasePaths(paths);
  });
}
