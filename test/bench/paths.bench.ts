/**
 * Milliseconds of one core for one prompt by the shared path simulator: 24h (1000 × 288 steps) and 1h (1000 × 60), plain and
 * rank-matched, with variance ratios and latent volatility, and the encoding. CPU time, so that a busy machine says nearly
 * the same. The peer is the subnet's reference miner, a Gaussian walk, in the same run. Run: npm run bench:paths
 */
import { simulateBaseline } from "../../src/engines/baseline.ts";
import { encodeSimulation } from "../../src/engines/encode.ts";
import type { PathModel } from "../../src/engines/path-model.ts";
import { releasePaths } from "../../src/engines/path-buffer.ts";
import { simulatePathModel } from "../../src/engines/paths/simulate.ts";
import { forecastRequest } from "../support/forecast-inputs.ts";
import { pathModel } from "../support/path-models.ts";

const PEER = "reference miner (peer)";
const RUNS = 30;
const WARM_UP_RUNS = 8;

function medianMs(measure: (run: number) => void): number {
  const timings: number[] = [];
  for (let run = -WARM_UP_RUNS; run < RUNS; run++) {
    const start = process.cpuUsage();
    measure(run);
    const { user, system } = process.cpuUsage(start);
    if (run >= 0) timings.push((user + system) / 1000);
  }
  return timings.sort((a, b) => a - b)[RUNS / 2]!;
}

const DAY = { horizonSeconds: 86_400, stepSeconds: 300 };
const HOUR = { horizonSeconds: 3600, stepSeconds: 60 };

/** The same model but for its name: what is known of one model must not help with the next. */
function unseen(model: PathModel, run: number): PathModel {
  return { ...model, nu: model.nu + run * 1e-9 };
}

let peerMs = NaN;

function row(name: string, measure: (run: number) => void): void {
  const ms = medianMs(measure);
  if (name.endsWith(PEER)) peerMs = ms;
  process.stdout.write(
    `${name.padEnd(44)} ${ms.toFixed(1).padStart(7)} ms ${(ms / peerMs).toFixed(2).padStart(7)} of the peer\n`,
  );
}

process.stdout.write(`median CPU time of ${RUNS}, 1000 paths, node ${process.version}\n`);
for (const [name, grid] of [
  ["24h", DAY],
  ["1h", HOUR],
] as const) {
  const request = (run: number) => forecastRequest({ ...grid, seed: `bench ${run}` });
  row(`${name} ${PEER}`, (run) => {
    releasePaths(simulateBaseline(request(run), { engine: "baseline", anchorPrice: 100_000, sigmaPerHour: 0.005 }));
  });
  for (const [label, changes] of [
    ["plain", { rankMatched: false }],
    ["plain, half the steps zero", { rankMatched: false, zeroShare: 0.5 }],
    ["rank-matched", { rankMatched: true }],
    ["rank-matched, half the steps zero", { rankMatched: true, zeroShare: 0.5 }],
  ] as const) {
    row(`${name} ${label}`, (run) => {
      releasePaths(simulatePathModel(request(run), unseen(pathModel(grid, changes), run)));
    });
  }
  row(`${name} rank-matched, the model's next`, (run) => {
    releasePaths(simulatePathModel(request(run), pathModel(grid, { rankMatched: true })));
  });
  row(`${name} rank-matched, encoded`, (run) => {
    const paths = simulatePathModel(request(run), unseen(pathModel(grid, { rankMatched: true }), run));
    encodeSimulation(request(run), paths);
    releasePaths(paths);
  });
}
